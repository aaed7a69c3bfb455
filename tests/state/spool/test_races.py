"""Dispatchers, workers and injectors at once, each with a connection of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from django.db import connection, transaction

from mta.spool import claim
from mta.spool.inject import inject
from mta.spool.take import take
from mta.storage import transactions
from tests.cast import Cast
from tests.services.processes import wait_until
from tests.state.spool import desk
from tests.state.spool.crowd import crowd

pytestmark = pytest.mark.django_db(transaction=True)


def test_dispatchers_never_share_a_recipient(cast: Cast, tmp_path: Path) -> None:
    to = [f"u{n}@x.test" for n in range(300)]
    wanted = set(desk.injected(cast, *to).recipient_ids)
    lane_id = desk.lane("x.test").pk

    def dispatcher() -> list[int]:
        got: list[int] = []
        while True:
            held = desk.claimed(lane_id, 7, token=claim.new_token(), seconds=60)
            if held is None:  # another one has the lane at this moment
                continue
            if not held.recipient_ids:
                return got
            assert len(held.recipient_ids) <= 7
            got += held.recipient_ids

    with crowd(tmp_path) as people:
        shares = people.run([dispatcher] * 4)
        assert sorted(rid for share in shares for rid in share) == sorted(wanted)
        assert desk.states() == {"claimed": 300}


def test_a_settlement_beside_a_claim_arms_the_lane(cast: Cast, tmp_path: Path) -> None:
    """The claim disarms the lane without having seen the deferral, which is not committed yet."""
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer at a time")
    desk.injected(cast, "a@x.test", "b@x.test")
    first = desk.take("x.test", 1)
    lane_id = desk.lane("x.test").pk
    claimed = threading.Event()

    def claimer() -> None:
        with transaction.atomic():
            (held,) = take([claim.Want(lane_id, 10, 77)], 60)
            assert len(held.recipient_ids) == 1
            claimed.set()
            wait_until(waits_for_a_lock, 20, "the settlement waits for the lane")

    def waits_for_a_lock() -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            return bool(cursor.fetchone()[0])

    def settler() -> None:
        claimed.wait(20)
        desk.settled(cast, first, "x.test", "deferred")

    with crowd(tmp_path) as people:
        people.run([claimer, settler])
    assert desk.states() == {"claimed": 1, "deferred": 1}
    assert desk.broken() == []


def test_nobody_waits_in_a_circle(
    cast: Cast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Injections to many lanes, settlements whose DSNs go to another lane, heartbeats, sweeps."""
    monkeypatch.setattr(transactions, "TRIES", 1)  # a deadlock is an error here
    domains = ["a.test", "acme.test", "m.test", "z.test"]
    to = [f"u{n}@{domain}" for n in range(8) for domain in domains]
    desk.injected(cast, *to)
    lane_ids = {domain: desk.lane(domain).pk for domain in domains}
    tokens: list[int] = []
    rounds = 12

    def injector() -> None:
        for _ in range(rounds):
            inject([cast.message(*reversed(to[:8])), cast.message(*to[8:16])])

    def worker(domain: str) -> Callable[[], None]:
        context = desk.context(cast, 0, domain)

        def work() -> None:
            for number in range(rounds):
                token = claim.new_token()
                tokens.append(token)
                held = desk.claimed(lane_ids[domain], 5, token=token, seconds=60)
                if held is None:
                    continue
                outcome = ("bounced", "deferred", "postponed")[number % 3]
                results = [desk.result(rid, outcome) for rid in held.recipient_ids[1:]]
                desk.settled_as(replace(context, token=token), results)
                claim.give_back(token)

        return work

    def heart() -> None:
        for _ in range(rounds * 2):
            claim.renew(list(tokens), seconds=60)
            claim.return_expired()

    with crowd(tmp_path) as people:
        people.run(
            [injector, injector, worker("a.test"), worker("z.test"), worker("m.test"), heart]
        )
        assert desk.broken() == []
        assert "claimed" not in desk.states()
