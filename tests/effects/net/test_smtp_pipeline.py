"""Many messages down one connection: what is written together, and who is told what."""

from mta.net.smtp import Connection, Outcome
from tests.effects.net.peers import Peer, message, send


def told(outcomes: list[Outcome]) -> list[tuple[int, bool, str, int, bool]]:
    return [
        (o.key, o.delivered, o.stage, o.reply.code if o.reply else 0, o.attempted) for o in outcomes
    ]


def test_the_envelope_is_written_at_once_and_the_next_rides_behind_the_dot(run):
    async def scenario():
        # No reply at all before DATA has come; the reply to a dot waits for the next DATA.
        async with Peer(hold_until=("DATA", "QUIT")) as peer:

            def dot(_):
                if len(peer.contents) == 3:
                    peer.hold_until = ()
                return "250 2.0.0 taken"

            peer.answers["dot"] = dot
            connection = await Connection.open(peer.target())
            outcomes = await send(connection, [message(1), message(2), message(3)])
            await connection.quit()
            assert told(outcomes) == [(key, True, "dot", 250, True) for key in (1, 2, 3)]
            assert str(outcomes[0].reply) == "250 2.0.0 taken"
            assert peer.early == [b"", b"", b""], "content came before its 354"
            assert connection.sent == 3

    run(scenario)


def test_without_pipelining_each_command_waits_for_its_reply(run):
    async def scenario():
        async with Peer(extensions=("8BITMIME",)) as peer:
            peer.answers["RCPT"] = ["550 5.1.1 no", "250 ok"]
            connection = await Connection.open(peer.target())
            outcomes = await send(connection, [message(1), message(2)])
            await connection.quit()
            assert told(outcomes) == [(1, False, "rcpt", 550, True), (2, True, "dot", 250, True)]
            assert not any(peer.piled), "a command came before the reply to the one before it"
            assert not any(peer.early)
            assert [c.split()[0] for c in peer.commands] == [
                "EHLO",
                "MAIL",
                "RCPT",
                "RSET",
                "MAIL",
                "RCPT",
                "DATA",
                "QUIT",
            ]

    run(scenario)


def test_a_refused_recipient_does_not_disturb_its_neighbours(run):
    async def scenario():
        async with Peer() as peer:
            peer.answers["RCPT"] = [
                "250 ok",
                "550 5.1.1 no such user",
                "250 ok",
                "452 4.2.2 full",
                "250 ok",
            ]
            peer.answers["DATA"] = [
                "354 go",
                "503 5.5.1 no recipients",
                "354 go",
                "554 5.5.1 none",
                "354 go",
            ]
            connection = await Connection.open(peer.target())
            outcomes = await send(connection, [message(k) for k in range(1, 6)])
            assert told(outcomes) == [
                (1, True, "dot", 250, True),
                (2, False, "rcpt", 550, True),
                (3, True, "dot", 250, True),
                (4, False, "rcpt", 452, True),
                (5, True, "dot", 250, True),
            ]
            assert len(peer.contents) == 3
            assert peer.commands.count("RSET") == 2
            assert connection.usable

    run(scenario)


def test_a_peer_that_says_354_without_a_recipient_gets_a_lone_dot(run):
    async def scenario():
        async with Peer() as peer:
            peer.answers["RCPT"] = ["550 5.1.1 no such user", "250 ok"]
            peer.answers["dot"] = ["554 5.5.1 no valid recipients", "250 2.0.0 taken"]
            connection = await Connection.open(peer.target())
            outcomes = await send(connection, [message(1), message(2)])
            assert told(outcomes) == [(1, False, "rcpt", 550, True), (2, True, "dot", 250, True)]
            assert peer.contents[0] == b"", "a refused message's content was sent"

    run(scenario)


def test_a_refused_sender_and_a_refused_data_are_told_at_their_stage(run):
    async def scenario():
        async with Peer() as peer:
            peer.answers["MAIL"] = ["550 5.7.1 not you", "250 ok"]
            peer.answers["RCPT"] = ["503 5.5.1 MAIL first", "250 ok"]
            peer.answers["DATA"] = ["503 5.5.1 MAIL first", "451 4.3.0 later", "354 go"]
            connection = await Connection.open(peer.target())
            outcomes = await send(connection, [message(1), message(2), message(3)])
            assert told(outcomes) == [
                (1, False, "mail", 550, True),
                (2, False, "data", 451, True),
                (3, True, "dot", 250, True),
            ]

    run(scenario)


def test_a_message_refused_after_its_content_leaves_the_connection_good(run):
    async def scenario():
        async with Peer() as peer:
            peer.answers["dot"] = ["554 5.7.1 spam", "250 ok"]
            connection = await Connection.open(peer.target())
            outcomes = await send(connection, [message(1), message(2)])
            assert told(outcomes) == [(1, False, "dot", 554, True), (2, True, "dot", 250, True)]
            assert "RSET" not in peer.commands

    run(scenario)


def test_replies_of_many_lines_are_read(run):
    async def scenario():
        async with Peer() as peer:
            peer.answers["dot"] = b"250-2.0.0 taken\r\n250-2.0.0 with\r\n250 2.0.0 thanks\r\n"
            connection = await Connection.open(peer.target())
            outcomes = await send(connection, [message(1), message(2)])
            assert [str(o.reply) for o in outcomes] == ["250 2.0.0 taken with thanks"] * 2

    run(scenario)


def test_a_connection_is_used_for_the_next_batch(run):
    async def scenario():
        async with Peer() as peer:
            connection = await Connection.open(peer.target())
            peer.answers["RCPT"] = ["550 5.1.1 no", "250 ok"]
            peer.answers["DATA"] = ["503 5.5.1 no", "354 go"]
            assert told(await send(connection, [message(1)])) == [(1, False, "rcpt", 550, True)]
            assert connection.usable
            assert told(await send(connection, [message(2)])) == [(2, True, "dot", 250, True)]
            assert await send(connection, []) == []
            assert peer.connections == 1

    run(scenario)


def test_dots_and_large_content_arrive_unchanged(run):
    body = b"Subject: x\r\n\r\n" + b".\r\n..\r\n.a\r\n" + b"x" * 70 + b"\r\n"
    big = b"Subject: big\r\n\r\n" + (b"." + b"y" * 76 + b"\r\n") * 20_000

    async def scenario():
        async with Peer() as peer:
            connection = await Connection.open(peer.target())
            outcomes = await send(connection, [message(1, body), message(2, big), message(3, body)])
            assert all(o.delivered for o in outcomes), outcomes
            assert peer.contents == [body, big, body]

    run(scenario)
