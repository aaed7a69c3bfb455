"""Connections kept for the next batch, against a peer that counts them."""

import asyncio

import pytest

from mta.net.pool import ConnectionPool
from mta.net.smtp import Connection
from tests.effects.net.peers import Peer, message, send

KEY = ("", "peer.test")


async def until(condition) -> None:
    while not condition():
        await asyncio.sleep(0.001)


def test_a_kept_connection_carries_the_next_batch(run):
    async def scenario():
        closed: list[Connection] = []
        async with Peer() as peer:
            pool = ConnectionPool(on_closed=closed.append)
            assert pool.take(KEY) is None
            connection = await Connection.open(peer.target())
            await send(connection, [message(1)])
            pool.put(KEY, connection)
            assert pool.idle() == [connection]
            assert pool.take(("127.0.0.2", "peer.test")) is None
            assert pool.take(KEY) is connection
            assert pool.take(KEY) is None
            assert (await send(connection, [message(2)]))[0].delivered
            assert peer.connections == 1
            await connection.quit()
            assert closed == [], "a connection in the caller's hands is the caller's to report"

    run(scenario)


def test_the_most_recently_used_is_given_out_first_and_the_oldest_leaves(run):
    async def scenario():
        closed: list[Connection] = []
        async with Peer() as peer:
            pool = ConnectionPool(limit=2, on_closed=closed.append)
            first, second, third = [await Connection.open(peer.target()) for _ in range(3)]
            for each in (first, second, third):
                pool.put(KEY, each)
            await until(lambda: closed == [first])
            assert pool.take(KEY) is third
            await pool.close()
            assert closed == [first, second]
            assert len(pool) == 0
            assert peer.commands.count("QUIT") == 2
            await third.quit()

    run(scenario)


def test_an_idle_connection_is_closed_politely_after_its_time(run):
    async def scenario():
        closed: list[Connection] = []
        async with Peer() as peer:
            pool = ConnectionPool(idle_seconds=0.02, on_closed=closed.append)
            connection = await Connection.open(peer.target())
            pool.put(KEY, connection)
            await until(lambda: closed)
            assert closed == [connection]
            assert pool.take(KEY) is None
            assert peer.commands[-1] == "QUIT"

    run(scenario)


def test_the_lease_of_a_quitting_connection_lasts_until_it_is_gone(run):
    async def scenario():
        closed: list[Connection] = []
        bye = asyncio.Event()
        async with Peer() as peer:
            pool = ConnectionPool(on_closed=closed.append)
            pool.put(KEY, await Connection.open(peer.target()))

            def say_bye(_):
                bye.set()
                return "221 bye"

            peer.answers["QUIT"] = say_bye
            closing = asyncio.ensure_future(pool.close())
            await bye.wait()
            assert closed == []
            await closing
            assert len(closed) == 1

    run(scenario)


def test_a_connection_the_peer_ends_is_reported_and_never_given_out(run):
    async def scenario():
        closed: list[Connection] = []
        async with Peer() as peer:
            pool = ConnectionPool(on_closed=closed.append)
            connection = await Connection.open(peer.target())
            pool.put(KEY, connection)
        await until(lambda: closed)
        assert closed == [connection]
        assert pool.take(KEY) is None
        assert len(pool) == 0

    run(scenario)


@pytest.mark.parametrize("gone", [True, False])
def test_a_broken_connection_put_back_is_reported_once(run, gone):
    async def scenario():
        closed: list[Connection] = []
        async with Peer(answers={"dot": "421 4.3.2 bye"}) as peer:
            pool = ConnectionPool(on_closed=closed.append)
            connection = await Connection.open(peer.target())
            await send(connection, [message(1)])
            if gone:
                await connection.quit()
            pool.put(KEY, connection)
            assert pool.take(KEY) is None
            await until(lambda: closed)
            await pool.close()
            assert closed == [connection]

    run(scenario)
