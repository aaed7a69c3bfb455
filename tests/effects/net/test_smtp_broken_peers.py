"""Peers on their worst day: at most one message in doubt, the rest free to go elsewhere."""

import asyncio
import socket
from dataclasses import replace

import pytest

from mta.net.smtp import ConnectFailed, Connection, Outcome, Timeouts
from tests.effects.net.peers import CLOSE, SHORT, SILENCE, Peer, message, send


def impatient(stage: str) -> Timeouts:
    """Short where the peer will be silent, long elsewhere: the machine may be busy."""
    return replace(SHORT, **{stage: 0.2})


def told(outcomes: list[Outcome]) -> list[tuple[int, str, int, bool]]:
    return [(o.key, o.stage, o.reply.code if o.reply else 0, o.attempted) for o in outcomes]


def batch(count: int):
    return [message(key) for key in range(1, count + 1)]


@pytest.mark.parametrize("extensions", [("PIPELINING",), ()], ids=["pipelined", "stepwise"])
class TestBothWays:
    def test_closed_between_the_dot_and_its_reply_is_the_only_doubt(self, run, extensions):
        async def scenario():
            async with Peer(extensions=extensions) as peer:
                peer.answers["dot"] = ["250 ok", CLOSE]
                outcomes = await send(await Connection.open(peer.target()), batch(4))
                assert told(outcomes) == [
                    (1, "dot", 250, True),
                    (2, "dot", 0, True),
                    (3, "mail", 0, False),
                    (4, "mail", 0, False),
                ]
                assert "clos" in outcomes[1].error or "lost" in outcomes[1].error
                assert not any(o.delivered for o in outcomes[1:])

        run(scenario)

    def test_421_after_two_messages_leaves_the_rest_untried(self, run, extensions):
        async def scenario():
            async with Peer(extensions=extensions) as peer:
                peer.answers["MAIL"] = ["250 ok", "250 ok", "421 4.7.0 enough for now"]
                connection = await Connection.open(peer.target())
                outcomes = await send(connection, batch(4))
                assert told(outcomes) == [
                    (1, "dot", 250, True),
                    (2, "dot", 250, True),
                    (3, "mail", 421, False),
                    (4, "mail", 421, False),
                ]
                assert not connection.usable

        run(scenario)

    def test_421_to_the_first_message_counts_as_an_attempt(self, run, extensions):
        async def scenario():
            async with Peer(extensions=extensions) as peer:
                peer.answers["MAIL"] = "421 4.7.0 go away"
                outcomes = await send(await Connection.open(peer.target()), batch(2))
                assert told(outcomes) == [(1, "mail", 421, True), (2, "mail", 421, False)]

        run(scenario)

    @pytest.mark.parametrize("verb", ["RCPT", "DATA", "dot"])
    def test_421_in_the_middle_of_a_message_is_its_reply(self, run, extensions, verb):
        async def scenario():
            async with Peer(extensions=extensions) as peer:
                usual = {"RCPT": "250 ok", "DATA": "354 go", "dot": "250 ok"}[verb]
                peer.answers[verb] = [usual, "421 4.3.2 shutting down"]
                outcomes = await send(await Connection.open(peer.target()), batch(3))
                assert told(outcomes) == [
                    (1, "dot", 250, True),
                    (2, verb.lower(), 421, True),
                    (3, "mail", 421, False),
                ]

        run(scenario)

    def test_a_missing_reply_ends_in_a_time_out_at_its_stage(self, run, extensions):
        async def scenario():
            async with Peer(extensions=extensions) as peer:
                peer.answers["RCPT"] = SILENCE
                peer.answers["DATA"] = SILENCE
                target = peer.target(timeouts=impatient("rcpt"))
                outcomes = await send(await Connection.open(target), batch(2))
                assert told(outcomes) == [(1, "rcpt", 0, True), (2, "mail", 0, False)]
                assert "no reply within 0.2 s" in outcomes[0].error

        run(scenario)

    @pytest.mark.parametrize(
        "garbage",
        [b"hello\r\n", b"999 what\r\n", b"\r\n", b"x" * 100_000, b"250-go on\r\n" * 300, b"25\r\n"],
        ids=["words", "code", "empty", "long line", "many lines", "short"],
    )
    def test_garbage_is_an_error_without_a_reply(self, run, extensions, garbage):
        async def scenario():
            async with Peer(extensions=extensions) as peer:
                peer.answers["dot"] = garbage
                connection = await Connection.open(peer.target())
                outcomes = await send(connection, batch(2))
                assert told(outcomes) == [(1, "dot", 0, True), (2, "mail", 0, False)]
                assert outcomes[0].error
                assert len(outcomes[0].error) < 300
                assert not connection.usable

        run(scenario)

    def test_354_or_250_in_the_wrong_place_is_never_a_delivery(self, run, extensions):
        async def scenario():
            for verb, said, stage in (
                ("MAIL", "354 go", "mail"),
                ("DATA", "250 sure", "data"),
                ("dot", "354 more", "dot"),
            ):
                async with Peer(extensions=extensions) as peer:
                    peer.answers[verb] = said
                    outcomes = await send(await Connection.open(peer.target()), batch(2))
                    assert told(outcomes) == [(1, stage, 0, True), (2, "mail", 0, False)], verb

        run(scenario)

    def test_a_second_reply_to_data_is_not_taken_for_the_dots(self, run, extensions):
        async def scenario():
            async with Peer(extensions=extensions) as peer:
                peer.answers["DATA"] = b"354 go on\r\n250 2.0.0 taken already\r\n"
                outcomes = await send(await Connection.open(peer.target()), batch(2))
                assert told(outcomes) == [(1, "data", 0, True), (2, "mail", 0, False)]
                assert not any(o.delivered for o in outcomes)

        run(scenario)


def test_a_refusal_stands_when_the_connection_dies_right_after_it(run):
    async def scenario():
        async with Peer() as peer:
            peer.answers["RCPT"] = "550 5.1.1 no such user"
            peer.answers["DATA"] = CLOSE
            outcomes = await send(await Connection.open(peer.target()), batch(2))
            assert told(outcomes) == [(1, "rcpt", 550, True), (2, "mail", 0, False)]

    run(scenario)


def test_an_idle_connection_that_says_421_is_not_usable(run):
    async def scenario():
        async with Peer() as peer:
            connection = await Connection.open(peer.target())
            peer.answers["dot"] = b"250 ok\r\n421 4.4.2 idle too long\r\n"
            assert told(await send(connection, batch(1))) == [(1, "dot", 250, True)]
            assert not connection.usable
            assert told(await send(connection, batch(2))) == [
                (1, "mail", 421, False),
                (2, "mail", 421, False),
            ]

    run(scenario)


@pytest.mark.parametrize("extensions", [("PIPELINING",), ()], ids=["pipelined", "stepwise"])
def test_disconnect_in_the_middle_of_content_is_not_a_doubt(run, extensions):
    big = b"Subject: big\r\n\r\n" + (b"y" * 76 + b"\r\n") * 100_000

    async def scenario():
        async with Peer(extensions=extensions, read_at_most=1000) as peer:
            peer.answers["early"] = CLOSE
            outcomes = await send(
                await Connection.open(peer.target()), [message(1, big), message(2)]
            )
            assert told(outcomes) == [(1, "data", 0, True), (2, "mail", 0, False)]

    run(scenario)


def test_a_refusal_in_the_middle_of_content_is_the_reply(run):
    big = b"Subject: big\r\n\r\n" + (b"y" * 76 + b"\r\n") * 100_000

    async def scenario():
        async with Peer(read_at_most=1000) as peer:
            peer.answers["early"] = "552 5.3.4 too big"
            outcomes = await send(
                await Connection.open(peer.target()), [message(1, big), message(2)]
            )
            assert told(outcomes) == [(1, "data", 552, True), (2, "mail", 0, False)]

    run(scenario)


def test_a_peer_that_stops_reading_hits_the_block_time_out(run):
    big = b"Subject: big\r\n\r\n" + (b"y" * 76 + b"\r\n") * 100_000

    async def scenario():
        async with Peer(read_at_most=1000) as peer:
            target = peer.target(timeouts=impatient("block"))
            outcomes = await send(await Connection.open(target), [message(1, big), message(2)])
            assert told(outcomes) == [(1, "data", 0, True), (2, "mail", 0, False)]
            assert "took no data" in outcomes[0].error

    run(scenario)


def test_an_exception_of_the_caller_aborts_the_connection(run):
    async def scenario():
        async with Peer() as peer:
            connection = await Connection.open(peer.target())

            def explode(_: Outcome) -> None:
                raise LookupError("caller's bug")

            with pytest.raises(LookupError):
                await connection.deliver(batch(3), explode)
            assert not connection.usable
            again = await Connection.open(peer.target())
            with pytest.raises(ZeroDivisionError):
                await again.deliver((message(1 // k) for k in (1, 0)), lambda _: None)

    run(scenario)


def test_cancelled_between_the_dot_and_its_reply_is_told_as_a_doubt(run):
    async def scenario():
        async with Peer() as peer:

            def fall_silent(_):
                if len(peer.contents) < 2:
                    return "250 ok"
                peer.answers |= dict.fromkeys(("MAIL", "RCPT", "DATA"), SILENCE)
                return SILENCE

            peer.answers["dot"] = fall_silent
            connection = await Connection.open(peer.target())
            outcomes: list[Outcome] = []
            delivery = asyncio.ensure_future(connection.deliver(batch(4), outcomes.append))
            while len(peer.contents) < 2:
                await asyncio.sleep(0.001)
            delivery.cancel()
            with pytest.raises(asyncio.CancelledError):
                await delivery
            assert told(outcomes) == [
                (1, "dot", 250, True),
                (2, "dot", 0, True),
                (3, "mail", 0, False),
                (4, "mail", 0, False),
            ]
            assert not connection.usable

    run(scenario)


class TestOpening:
    @pytest.mark.parametrize(
        ("answers", "stage", "code"),
        [
            ({"greeting": "554 5.7.1 blocked"}, "connect", 554),
            ({"greeting": "421 4.7.0 too busy"}, "connect", 421),
            ({"greeting": CLOSE}, "connect", 0),
            ({"greeting": SILENCE}, "connect", 0),
            ({"greeting": b"SSH-2.0-OpenSSH\r\n"}, "connect", 0),
            ({"EHLO": "421 4.3.2 no"}, "ehlo", 421),
            ({"EHLO": "450 4.7.1 your name"}, "ehlo", 450),
            ({"EHLO": CLOSE}, "ehlo", 0),
            ({"EHLO": "550 no", "HELO": "550 5.7.1 neither"}, "ehlo", 550),
        ],
    )
    def test_a_peer_that_does_not_get_ready(self, run, answers, stage, code):
        async def scenario():
            async with Peer(answers=answers) as peer:
                silent = answers.get("greeting") is SILENCE
                target = peer.target(timeouts=impatient("greeting") if silent else SHORT)
                with pytest.raises(ConnectFailed) as failure:
                    await Connection.open(target)
                assert failure.value.stage == stage
                assert (failure.value.reply.code if failure.value.reply else 0) == code
                assert failure.value.reply or failure.value.text

        run(scenario)

    def test_helo_after_a_refused_ehlo(self, run):
        async def scenario():
            async with Peer(answers={"EHLO": "502 5.5.1 what?"}) as peer:
                connection = await Connection.open(peer.target())
                assert connection.capabilities == frozenset()
                assert told(await send(connection, batch(2))) == [
                    (1, "dot", 250, True),
                    (2, "dot", 250, True),
                ]
                assert peer.commands[:2] == ["EHLO client.test", "HELO client.test"]

        run(scenario)

    def test_nobody_listens(self, run):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]

            async def scenario():
                with pytest.raises(ConnectFailed, match="refused") as failure:
                    await Connection.open(Peer(port=port).target())
                assert failure.value.stage == "connect"

            run(scenario)

    def test_nobody_answers_within_the_time_out(self, run):
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            waiting = [socket.socket() for _ in range(4)]
            for each in waiting:
                each.setblocking(False)
                each.connect_ex(full.getsockname())

            async def scenario():
                target = Peer(port=full.getsockname()[1]).target(timeouts=Timeouts(connect=0.2))
                with pytest.raises(ConnectFailed, match=r"no connection within 0\.2 s"):
                    await Connection.open(target)

            run(scenario)
            for each in waiting:
                each.close()

    def test_the_source_address_is_what_the_peer_sees(self, run):
        async def scenario():
            async with Peer() as peer:
                connection = await Connection.open(peer.target(source_address="127.0.0.11"))
                await connection.quit()
                assert peer.peernames == ["127.0.0.11"]

        run(scenario)

    def test_a_source_address_this_host_does_not_have_is_a_local_fault(self, run):
        async def scenario():
            async with Peer() as peer:
                with pytest.raises(ConnectFailed, match=r"192\.0\.2\.1") as failure:
                    await Connection.open(peer.target(source_address="192.0.2.1"))
                assert failure.value.stage == "local"
                assert peer.connections == 0

        run(scenario)


def test_quit_does_not_mind_a_peer_that_is_gone(run):
    async def scenario():
        for said in (CLOSE, SILENCE, "500 what?"):
            async with Peer(answers={"QUIT": said}) as peer:
                connection = await Connection.open(peer.target(timeouts=impatient("quit")))
                await connection.quit()
                assert not connection.usable

    run(scenario)
