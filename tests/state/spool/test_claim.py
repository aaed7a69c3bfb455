"""Claims: what is due is taken once, kept while it is renewed, and returned when it is not."""

from __future__ import annotations

import time

import pytest

from mta.egress.models import Source
from mta.spool import claim, models
from mta.spool.models import Lane, Recipient
from mta.storage.fields import now_ms
from tests.cast import Cast
from tests.cast import held as held_by
from tests.state.spool import desk

pytestmark = pytest.mark.django_db


def test_takes_the_oldest_due_and_says_that_there_is_more(cast: Cast) -> None:
    accepted = desk.injected(cast, *(f"u{n}@x.test" for n in range(5)))
    now = now_ms()
    for age, rid in enumerate(accepted.recipient_ids):
        Recipient.objects.filter(pk=rid).update(next_attempt_at=now - 1000 + age)
    first = desk.take("x.test", 2)
    assert first.recipient_ids == accepted.recipient_ids[:2]
    assert first.more
    assert desk.broken() == []
    rest = desk.take("x.test", 10)
    assert rest.recipient_ids == accepted.recipient_ids[2:]
    assert not rest.more
    assert desk.lane("x.test").due_at is None
    assert desk.take("x.test").recipient_ids == ()


def test_what_is_not_due_stays_and_arms_the_lane(cast: Cast) -> None:
    later = time.time() + 3600
    desk.injected(cast, "a@x.test")
    desk.injected(cast, "b@x.test", send_at=later)
    held = desk.take("x.test")
    assert len(held.recipient_ids) == 1
    assert not held.more
    due = desk.lane("x.test").due_at
    assert due is not None
    assert abs(due.timestamp() - later) < 0.01


def test_a_batch_shares_its_source(cast: Cast) -> None:
    other = Source.objects.create(name="other")
    accepted = desk.injected(cast, *(f"u{n}@x.test" for n in range(4)))
    now = now_ms()
    for age, rid in enumerate(accepted.recipient_ids):
        Recipient.objects.filter(pk=rid).update(
            next_attempt_at=now - 1000 + age, source=other if age in (0, 2) else None
        )
    first, second = desk.take("x.test"), desk.take("x.test")
    assert (first.source_id, first.recipient_ids) == (other.pk, accepted.recipient_ids[0:4:2])
    assert (second.source_id, second.recipient_ids) == (None, accepted.recipient_ids[1:4:2])


def test_a_lane_that_is_gone_gives_nothing(cast: Cast) -> None:
    found = desk.claimed(12345, 10, token=1, seconds=1)
    assert found is None or found.recipient_ids == ()


def test_renewal_prolongs_what_is_held_and_nothing_else(cast: Cast) -> None:
    desk.injected(cast, "a@x.test", "b@x.test")
    held = desk.take("x.test", seconds=1)
    assert claim.renew([held.token, 99], seconds=500) == {held.token}
    assert held_by(held.token) == list(held.recipient_ids)
    assert models.Claim.objects.get().ends_at.timestamp() > time.time() + 400
    assert claim.renew([], seconds=1) == set()


def test_what_is_given_back_is_due_again_as_it_was(cast: Cast) -> None:
    first, second = desk.injected(cast, "a@x.test", "b@x.test").recipient_ids
    Recipient.objects.filter(pk=second).update(attempts=2)
    held = desk.take("x.test")
    at = now_ms() + 5000
    assert claim.give_back(held.token, at=at, reason="r" * 300) == 2
    assert [desk.row(rid).state for rid in (first, second)] == ["scheduled", "deferred"]
    lane = desk.lane("x.test")
    assert lane.due_at is not None
    assert round(lane.due_at.timestamp() * 1000) == at
    assert lane.hold_reason == "r" * 200
    assert claim.renew([held.token], seconds=1) == set()
    assert not models.Claim.objects.exists()
    assert claim.give_back(held.token) == 0


def test_only_some_can_be_given_back(cast: Cast) -> None:
    first, second = desk.injected(cast, "a@x.test", "b@x.test").recipient_ids
    held = desk.take("x.test")
    assert claim.give_back(held.token, only=[]) == 0
    assert claim.give_back(held.token, only=[first, 1]) == 1
    assert held_by(held.token) == [second]
    assert desk.broken() == []


def test_claims_that_ended_come_back_and_fence_the_old_holder_out(cast: Cast) -> None:
    desk.injected(cast, *(f"u{n}@x.test" for n in range(5)))
    dead = desk.take("x.test", 2, seconds=-1)
    dead_too = desk.take("x.test", 1, seconds=-1)
    alive = desk.take("x.test", 3)
    assert claim.held([dead.token, alive.token]) == {alive.token}
    assert claim.return_expired(limit=1) in {1, 2}
    assert claim.return_expired() in {1, 2}
    assert claim.return_expired() == 0
    assert claim.renew([dead.token, dead_too.token, alive.token], seconds=9) == {alive.token}
    assert desk.broken() == []
    assert desk.settled(cast, dead, "x.test", "delivered").settled == 0
    returned = {*dead.recipient_ids, *dead_too.recipient_ids}
    assert set(desk.take("x.test").recipient_ids) == returned


def test_giving_back_does_not_put_off_what_is_due_sooner(cast: Cast) -> None:
    desk.injected(cast, "a@x.test", "b@x.test")
    held = desk.take("x.test", 1)
    soon = Lane.objects.get().due_at
    claim.give_back(held.token, at=now_ms() + 9_000)
    assert Lane.objects.get().due_at == soon
