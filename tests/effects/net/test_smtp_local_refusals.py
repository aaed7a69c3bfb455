"""Messages this peer cannot take are refused here, in their turn, without a word to the peer."""

from mta.net.smtp import Connection
from tests.effects.net.peers import Peer, message, send


def test_local_refusals_keep_their_place_in_the_order(run):
    async def scenario():
        async with Peer(extensions=("PIPELINING", "SIZE 100")) as peer:
            connection = await Connection.open(peer.target())
            outcomes = await send(
                connection,
                [
                    message(1, content=b"x" * 101),
                    message(2),
                    message(3, forward_path="jürgen@peer.test"),
                    message(4, eight_bit=True),
                    message(5),
                    message(6, content=b"x" * 101),
                ],
            )
            assert [(o.key, o.stage, o.reply.code if o.reply else 0) for o in outcomes] == [
                (1, "local", 552),
                (2, "dot", 250),
                (3, "local", 550),
                (4, "local", 554),
                (5, "dot", 250),
                (6, "local", 552),
            ]
            assert len(peer.contents) == 2
            assert connection.sent == 2

    run(scenario)


def test_local_refusals_stand_when_the_connection_breaks(run):
    async def scenario():
        async with Peer(extensions=("PIPELINING", "SIZE 100")) as peer:
            peer.answers["dot"] = "421 4.3.2 shutting down"
            connection = await Connection.open(peer.target())
            outcomes = await send(
                connection, [message(1), message(2, content=b"x" * 101), message(3)]
            )
            assert [(o.key, o.stage, o.attempted) for o in outcomes] == [
                (1, "dot", True),
                (2, "local", True),
                (3, "mail", False),
            ]

    run(scenario)
