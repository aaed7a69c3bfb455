"""Connections of a worker: leases that are always given back, hosts in turn, TLS that breaks."""

from __future__ import annotations

import threading

import pytest
import redis

from mta.delivery import connect
from mta.delivery.batch import Path
from mta.delivery.connect import Refusal
from mta.net.smtp import Connection
from tests.cast import Cast
from tests.effects.delivery.worker import Worker, path
from tests.services.processes import wait_until

pytestmark = pytest.mark.django_db
LEASES = "connections:acme-source:mx1.x.test"


def got(worker: Worker, where: Path) -> Connection:
    found = worker.connector.get(where)
    assert isinstance(found, Connection), found
    return found


def refused(worker: Worker, where: Path) -> Refusal:
    found = worker.connector.get(where)
    assert isinstance(found, Refusal), found
    return found


def no_leases(worker: Worker) -> None:
    wait_until(lambda: worker.limits.held(LEASES) == 0, 10, "every lease is given back")


def test_a_connection_holds_a_lease_until_it_is_gone(cast: Cast, worker: Worker) -> None:
    where = path(cast, "x.test", worker.world.add_site("x.test"), connections=1)
    first = got(worker, where)
    assert worker.limits.held(LEASES) == 1
    assert [slot.key for slot in worker.connector.leases()] == [LEASES]
    worker.connector.put(where, first)
    assert got(worker, where) is first, "it was kept"
    worker.world.set_behaviour("x.test", "down")
    no_leases(worker)
    assert worker.connector.leases() == []
    worker.connector.put(where, first)
    assert refused(worker, where).stage == "connect"
    no_leases(worker)


def test_a_connection_that_came_free_is_used_by_who_waits(cast: Cast, worker: Worker) -> None:
    where = path(cast, "x.test", worker.world.add_site("x.test"), connections=1)
    first = got(worker, where)
    second: list[object] = []
    waiter = threading.Thread(target=lambda: second.append(worker.connector.get(where)))
    waiter.start()
    worker.connector.put(where, first)
    waiter.join(10)
    assert second == [first]
    worker.connector.put(where, first)


def test_all_in_use(cast: Cast, worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connect, "SLOT_PATIENCE", 0.05)
    addresses = worker.world.add_site("x.test")
    where = path(cast, "x.test", addresses, connections=1, connections_per_minute=2)
    first = got(worker, where)
    for _ in range(5):  # who only waits uses up no new connections
        assert refused(worker, where) == Refusal(
            "limit", "all 1 connections from acme-source are in use", final=True
        )
    worker.loop.run(first.quit())
    no_leases(worker)
    worker.connector.put(where, first)
    second = got(worker, where)
    worker.loop.run(second.quit())
    no_leases(worker)
    assert refused(worker, where).text == "2 connections/min to the site are used up"
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
    worker.connector.put(where, first)
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
    worker.connector.put(plain, got(worker, plain))
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
    worker.connector.put(where, second)
    worker.connector.close()
    no_leases(worker)
    assert refused(worker, where) == Refusal("limit", "the worker stops", final=True)
    worker.connector.put(where, first)
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
    worker.connector.give_slot_back(slot)
    assert "lease not given back: ConnectionError" in caplog.text
    worker.connector.put(where, first)
