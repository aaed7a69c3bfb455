"""Connections of a worker: leases that are always given back, hosts in turn, TLS that breaks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest
import redis

from mta.delivery import lessor
from mta.delivery.batch import Path
from mta.delivery.connect import Refusal
from mta.limits.egress import Slot
from mta.net.smtp import Connection
from tests.cast import Cast
from tests.effects.delivery.worker import Worker, path
from tests.services.processes import wait_until

pytestmark = pytest.mark.django_db
LEASES = "connections:acme-source:mx1.x.test"


def got(worker: Worker, where: Path) -> Connection:
    found = worker.got(where)
    assert isinstance(found, Connection), found
    return found


def refused(worker: Worker, where: Path) -> Refusal:
    found = worker.got(where)
    assert isinstance(found, Refusal), found
    return found


def no_leases(worker: Worker) -> None:
    wait_until(lambda: worker.limits.held(LEASES) == 0, 10, "every lease is given back")


def test_a_connection_holds_a_lease_until_it_is_gone(cast: Cast, worker: Worker) -> None:
    where = path(cast, "x.test", worker.world.add_site("x.test"), connections=1)
    first = got(worker, where)
    assert worker.limits.held(LEASES) == 1
    assert [slot.key for slot in worker.connector.leases()] == [LEASES]
    worker.put(where, first)
    assert got(worker, where) is first, "it was kept"
    worker.world.set_behaviour("x.test", "down")
    no_leases(worker)
    assert worker.connector.leases() == []
    worker.put(where, first)
    assert refused(worker, where).stage == "connect"
    no_leases(worker)


def test_a_connection_that_came_free_is_used_by_who_waits(cast: Cast, worker: Worker) -> None:
    where = path(cast, "x.test", worker.world.add_site("x.test"), connections=1)
    first = got(worker, where)
    second: list[object] = []
    waiter = threading.Thread(target=lambda: second.append(worker.got(where)))
    waiter.start()
    worker.put(where, first)
    waiter.join(10)
    assert second == [first]
    worker.put(where, first)


def test_who_waited_first_is_served_first_by_one_poller(cast: Cast, worker: Worker) -> None:
    where = path(cast, "x.test", worker.world.add_site("x.test"), connections=1)
    first = got(worker, where)
    asked: list[str] = []
    acquire = worker.limits.acquire_each

    def counted(groups: Sequence[Sequence[Slot]]) -> list[str]:
        asked.append(groups[0][0].key)
        return acquire(groups)

    worker.limits.acquire_each = counted  # type: ignore[method-assign]  # to count the questions
    served: list[int] = []

    async def run(number: int) -> None:
        connection = await worker.connector.get(where)
        assert connection is first
        served.append(number)
        worker.connector.put(where, first)

    async def crowd() -> None:
        runs = [asyncio.ensure_future(run(number)) for number in range(200)]
        while not asked:
            await asyncio.sleep(0.001)
        worker.connector.put(where, first)
        await asyncio.gather(*runs)

    worker.loop.run(crowd())
    assert served == list(range(200))
    assert len(asked) < 20, "one question serves all that wait"


def test_an_idle_connection_to_another_host_is_better_than_none(
    cast: Cast, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    (one,) = worker.world.add_site("x.test")
    (other,) = worker.world.add_site("y.test")
    hosts = (("mx1.x.test", (one,)), ("mx1.y.test", (other,)))
    where = path(cast, "x.test", [], hosts=hosts, connections=1)
    first = got(worker, where)
    assert first.address == one
    worker.put(where, first)
    turned = path(cast, "x.test", [], hosts=hosts[::-1], connections=1)
    for _ in range(2):  # found full, and known to be full
        assert got(worker, turned) is first
        worker.put(turned, first)
    wide = path(cast, "x.test", [], hosts=hosts[::-1], connections=2)
    worker.connector.lessor.full.clear()
    assert got(worker, wide).address == other, "there is room: by preference"


def test_patience_ends_only_when_the_path_is_known_to_be_full(
    cast: Cast, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lessor, "PATIENCE", 0.01)
    where = path(cast, "x.test", worker.world.add_site("x.test"), connections=1)
    acquire, answer = worker.limits.acquire_each, threading.Event()

    def slow(groups: Sequence[Sequence[Slot]]) -> list[str]:
        answer.wait(10)
        return acquire(groups)

    monkeypatch.setattr(worker.limits, "acquire_each", slow)

    async def wait_long() -> object:
        waiter = asyncio.ensure_future(worker.connector.get(where))
        done, _ = await asyncio.wait({waiter}, timeout=0.1)
        assert not done, "Redis has not said that the path is full"
        answer.set()
        return await waiter

    assert isinstance(worker.loop.run(wait_long()), Connection)
    assert refused(worker, where).stage == "limit"


def test_a_lease_that_comes_back_is_used_at_once(
    cast: Cast, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lessor, "PATIENCE", 60.0)
    monkeypatch.setattr(lessor, "RETRY_SECONDS", 30.0)
    where = path(cast, "x.test", worker.world.add_site("x.test"), connections=1)
    first = got(worker, where)

    async def hurry() -> object:
        waiter = asyncio.ensure_future(worker.connector.get(where))
        while not worker.connector.lessor.full:
            await asyncio.sleep(0.001)
        await first.quit()
        async with asyncio.timeout(10):
            return await waiter

    assert isinstance(worker.loop.run(hurry()), Connection)


def test_a_process_has_so_many_places_for_connections(
    cast: Cast, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lessor, "PATIENCE", 0.2)
    worker.connector.most, worker.connector.places = 2, asyncio.Semaphore(2)
    paths = [path(cast, f"x{n}.test", worker.world.add_site(f"x{n}.test")) for n in range(3)]
    kept = [got(worker, each) for each in paths[:2]]
    met = refused(worker, paths[2])
    assert (met.stage, met.final) == ("limit", True)
    assert met.text == (
        "all 2 connections of this worker are in use (MAILMILL_DELIVER_CONNECTIONS)"
    )
    wait_until(
        lambda: worker.limits.held("connections:acme-source:mx1.x2.test") == 0, 10, "lease back"
    )
    worker.put(paths[0], kept[0])
    monkeypatch.setattr(lessor, "PATIENCE", 10)
    assert got(worker, paths[2]).host == "mx1.x2.test", "an idle one made room"
    assert not kept[0].usable
    assert kept[1].usable


def test_trouble_with_redis_is_told_to_all_who_wait(
    cast: Cast, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = path(cast, "x.test", worker.world.add_site("x.test"))

    def away(slots: object) -> None:
        raise redis.ConnectionError

    monkeypatch.setattr(worker.limits, "acquire_each", away)

    async def crowd() -> list[object]:
        waiting = (worker.connector.get(where) for _ in range(5))
        return await asyncio.gather(*waiting, return_exceptions=True)

    assert [type(error) for error in worker.loop.run(crowd())] == [redis.ConnectionError] * 5
    monkeypatch.undo()
    assert got(worker, where).usable


def test_all_in_use(cast: Cast, worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lessor, "PATIENCE", 0.05)
    addresses = worker.world.add_site("x.test")
    where = path(cast, "x.test", addresses, connections=1, opens=(("opens:s:x", 2 / 60, 2),))
    first = got(worker, where)
    for _ in range(5):  # who only waits uses up no new connections
        assert refused(worker, where) == Refusal(
            "limit", "all 1 connections from acme-source are in use", final=True
        )
    worker.loop.run(first.quit())
    no_leases(worker)
    worker.put(where, first)
    second = got(worker, where)
    worker.loop.run(second.quit())
    no_leases(worker)
    assert refused(worker, where).text == "the new connections of this minute are used up"
    no_leases(worker)


def test_the_next_host_when_one_is_dead_and_the_dead_one_last_for_a_while(
    cast: Cast, worker: Worker
) -> None:
    (good,) = worker.world.add_site("x.test")
    (dead,) = worker.world.add_site("dead.test", "down")
    hosts = (("dead.test", (dead,)), ("mx1.x.test", (good,)))
    where = path(cast, "x.test", [], hosts=hosts)
    first = got(worker, where)
    assert (first.host, first.address) == ("mx1.x.test", good)
    assert worker.connector.order(where) == [("mx1.x.test", good), ("dead.test", dead)]
    worker.connector.dead.clear()
    assert worker.connector.order(where)[0] == ("dead.test", dead)
    worker.put(where, first)
    assert worker.limits.held(LEASES) == 1, "only the open one holds a lease"


def test_no_address_of_the_sources_family(cast: Cast, worker: Worker) -> None:
    where = path(cast, "x.test", ["2001:db8::1"], source_address="127.0.0.1")
    assert refused(worker, where).text == "no host has an address that the source can reach"


def test_tls_that_breaks_is_remembered(cast: Cast, worker: Worker) -> None:
    addresses = worker.world.add_site("x.test", "starttls_broken")
    where = path(cast, "x.test", addresses, tls="opportunistic")
    assert got(worker, where).tls == ""
    assert worker.world.site("x.test").connections == 2
    assert got(worker, where).tls == ""
    assert worker.world.site("x.test").connections == 3


def test_tls_that_works(cast: Cast, worker: Worker) -> None:
    addresses = worker.world.add_site("x.test", "starttls")
    assert got(worker, path(cast, "x.test", addresses, tls="opportunistic")).tls.startswith("TLS")


def test_mail_that_wants_tls_never_goes_down_a_kept_connection_without(
    cast: Cast, worker: Worker
) -> None:
    addresses = worker.world.add_site("x.test", "starttls")
    plain = path(cast, "x.test", addresses, tls="none")
    worker.put(plain, got(worker, plain))
    assert got(worker, path(cast, "x.test", addresses, tls="required")).tls.startswith("TLS")
    met = refused(worker, path(cast, "x.test", addresses, tls="verified"))
    assert "not valid for 'mx1.x.test'" in met.text
    assert got(worker, plain).tls == ""


@pytest.mark.parametrize("behaviour", ["accept", "starttls_broken"])
def test_required_tls_is_never_given_up(cast: Cast, worker: Worker, behaviour: str) -> None:
    addresses = worker.world.add_site("x.test", behaviour)
    for _ in range(2):
        met = refused(worker, path(cast, "x.test", addresses, tls="required"))
        assert (met.stage, met.host, met.final) == ("starttls", "mx1.x.test", True)
    no_leases(worker)


def test_a_greeting_that_refuses(cast: Cast, worker: Worker) -> None:
    addresses = worker.world.add_site("x.test", "busy_greeting")
    met = refused(worker, path(cast, "x.test", addresses))
    assert (met.stage, met.code, met.enhanced) == ("connect", 421, "4.3.2")
    assert worker.connector.dead == {}, "it answered"
    no_leases(worker)


def test_after_hanging_up_nothing_is_opened_or_kept(cast: Cast, worker: Worker) -> None:
    where = path(cast, "x.test", worker.world.add_site("x.test"))
    first, second = got(worker, where), got(worker, where)
    worker.put(where, second)
    worker.connector.close()
    no_leases(worker)
    assert refused(worker, where) == Refusal("limit", "the worker stops", final=True)
    worker.put(where, first)
    assert worker.world.site("x.test").connections == 2


def test_a_lease_that_cannot_be_given_back_ends_by_itself(
    cast: Cast, worker: Worker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    where = path(cast, "x.test", worker.world.add_site("x.test"))
    first = got(worker, where)
    (slot,) = worker.connector.leases()

    def away(slots: object) -> None:
        raise redis.ConnectionError

    monkeypatch.setattr(worker.limits, "release", away)
    worker.loop.run(first.quit())
    wait_until(lambda: "leases not given back: ConnectionError" in caplog.text, 10, "a warning")
    assert worker.limits.held(slot.key) == 1
    assert worker.connector.leases() == []


def test_a_connection_needs_the_leases_of_site_and_provider(cast: Cast, worker: Worker) -> None:
    one, other = (
        path(
            cast, f"{name}.test", worker.world.add_site(f"{name}.test"),
            slots=((f"connections:s:mx1.{name}.test", 5), ("connections:s:@big", 1)),
        )
        for name in ("x", "y")
    )  # fmt: skip
    first = got(worker, one)
    assert worker.limits.held("connections:s:@big") == 1

    async def other_site() -> object:
        waiter = asyncio.ensure_future(worker.connector.get(other))
        while not worker.connector.lessor.full:
            await asyncio.sleep(0.001)
        await first.quit()
        async with asyncio.timeout(10):
            return await waiter

    second = worker.loop.run(other_site())
    assert isinstance(second, Connection)
    assert second.host == "mx1.y.test"
    wait_until(lambda: worker.limits.held("connections:s:mx1.x.test") == 0, 10, "leases back")
    assert worker.limits.held("connections:s:@big") == 1
