"""Resolve: the path of a batch, or the reason why it has none."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from mta import wiring
from mta.delivery import shaping, ways
from mta.delivery.batch import Batch
from mta.delivery.route import route
from mta.egress import sources
from mta.egress.models import (
    Pool,
    PoolMember,
    ShapingRule,
    Source,
    Suspension,
    WarmupSchedule,
    WarmupStage,
)  # fmt: skip
from mta.limits.egress import Counter, Group, Room
from mta.net.dns import MxHost, ResolveError, Route
from mta.spool.models import Message
from mta.storage.fields import from_ms, now_ms
from mta.suppression.models import Suppression
from tests.cast import Cast
from tests.state.spool import desk

pytestmark = pytest.mark.django_db
FOUND = Route("x.test", (MxHost("mx1.x.test", 10, ("192.0.2.1",)),), 0.0)


class Used:
    """What the sources have sent today, as the limits tell it; nothing else limits."""

    def __init__(self, count: int) -> None:
        self.count = count

    def room(self, groups: Sequence[Group], *, lead: float) -> list[Room]:
        return [self.left(counters) for _, counters in groups]

    def left(self, counters: Sequence[Counter]) -> Room:
        if not counters:
            return Room(None, 0.0, "")
        tightest = min(counters, key=lambda one: one.limit)
        return Room(max(0, tightest.limit - self.count), 0.0, tightest.key)


@pytest.fixture(autouse=True)
def anew(monkeypatch: pytest.MonkeyPatch) -> None:
    sources.forget()
    shaping._last.clear()
    monkeypatch.setattr(wiring, "limits", lambda: Used(0))
    monkeypatch.setattr("mta.delivery.ways.throttled", lambda _: {})


def batch(cast: Cast, *to: str) -> Batch:
    desk.injected(cast, *(to or ("a@x.test", "b@x.test")))
    held = desk.take("x.test")
    return Batch(
        token=held.token, lane_id=desk.lane("x.test").pk, tenant_id=cast.tenant.pk,
        stream_id=cast.transactional.pk, domain="x.test", recipient_ids=held.recipient_ids,
        claimed_at=now_ms(),
    )  # fmt: skip


def routed(given: Batch, found: Route | ResolveError = FOUND) -> Batch:
    (done,) = route([given], {given.domain: found}, random.Random(1))
    return done


def reasons(done: Batch) -> set[tuple[str, str]]:
    assert done.path is None
    assert done.decided() == set(done.recipient_ids)
    return {(outcome.kind, outcome.reply) for outcome in done.outcomes}


def test_a_path(cast: Cast) -> None:
    ShapingRule.objects.create(match_kind="site", match="x.test", connections=7, dot_timeout=9)
    done = routed(batch(cast))
    assert done.outcomes == ()
    assert done.path is not None
    assert (done.path.site, done.path.source_name) == ("mx1.x.test", "acme-source")
    assert (done.path.connections, done.path.timeouts[-2]) == (7, 9.0)
    assert done.path.ehlo_name == "mill.example.net"
    assert done.path.hosts == (("mx1.x.test", ("192.0.2.1",)),)


def test_no_such_domain(cast: Cast) -> None:
    done = routed(batch(cast), ResolveError(True, 550, "5.1.2", "no such domain"))
    assert reasons(done) == {("", "no such domain")}
    assert {(o.stage, o.code, o.enhanced) for o in done.outcomes} == {("dns", 550, "5.1.2")}


@pytest.mark.parametrize("address", ["A@x.test", "grüße@x.test"])
def test_suppressed_since_it_was_taken_in(cast: Cast, address: str) -> None:
    given = batch(cast, address, "b@x.test")
    Suppression.objects.create(tenant=cast.tenant, address=address.lower(), reason="manual")
    done = routed(given)
    assert [outcome.kind for outcome in done.outcomes] == ["suppressed"]
    assert done.outcomes[0].recipient_id == min(given.recipient_ids)
    assert done.path is not None


def test_a_capital_beyond_ascii_is_suppressed_too(cast: Cast) -> None:
    given = batch(cast, "GRÜSSE@x.test")
    Suppression.objects.create(tenant=cast.tenant, address="grüsse@x.test", reason="manual")
    assert [outcome.kind for outcome in routed(given).outcomes] == ["suppressed"]


def test_a_suppression_that_ended_or_is_anothers_does_not_count(cast: Cast) -> None:
    given = batch(cast, "a@x.test")
    yesterday = timezone.now() - timedelta(days=1)
    Suppression.objects.create(address="a@x.test", reason="manual", expires_at=yesterday)
    Suppression.objects.create(
        tenant=cast.tenant, stream=cast.bulk, address="a@x.test", reason="manual"
    )
    assert routed(given).outcomes == ()


def test_life_that_ended_while_waiting(cast: Cast) -> None:
    given = batch(cast)
    Message.objects.update(created_at=from_ms(1), expires_at=from_ms(2))
    assert {o.reply for o in routed(given).outcomes} == {"time for delivery ran out"}


@pytest.mark.parametrize(
    ("scope", "key", "reason"),
    [
        ("tenant", "acme", "the tenant is suspended"),
        ("site", "x.test", "the site is suspended"),
        ("site", "mx1.x.test", "the site is suspended"),
        ("source", "acme-source", "no active source in pool acme-pool"),
    ],
)
def test_suspended(cast: Cast, scope: str, key: str, reason: str) -> None:
    Suspension.objects.create(scope=scope, key=key)
    done = routed(batch(cast))
    assert reasons(done) == {("limited", reason)}
    assert {outcome.gate.partition(":")[0] for outcome in done.outcomes} == {"suspended"}
    assert all(now_ms() < outcome.until < now_ms() + 61_000 for outcome in done.outcomes)


def test_a_suspension_that_ended(cast: Cast) -> None:
    ended = timezone.now() - timedelta(seconds=1)
    Suspension.objects.create(scope="tenant", key="acme", ends_at=ended)
    assert routed(batch(cast)).path is not None


def warming(source: Source, per_day: int = 10) -> None:
    schedule = WarmupSchedule.objects.create(name=f"w{source.pk}")
    WarmupStage.objects.create(schedule=schedule, day=1, per_day=per_day)
    source.warmup_schedule, source.warmup_started_on = schedule, ways.today().date()
    source.save()


def test_warmup_caps(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    warming(cast.source)
    given = batch(cast)
    path = routed(given).path
    assert path is not None
    assert [row[1] for row in path.counters] == [10]
    monkeypatch.setattr(wiring, "limits", lambda: Used(10))
    done = routed(given)
    said = "limit: the warmup cap of today of acme-source to mx1.x.test is used up"
    assert reasons(done) == {("limited", said)}
    tomorrow = done.outcomes[0].until
    assert 0 < tomorrow - now_ms() <= 86_400_000
    assert tomorrow % 86_400_000 == 0


def test_the_excess_overflows_to_the_next_pool(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    warming(cast.source)
    monkeypatch.setattr(wiring, "limits", lambda: Used(10))
    warm = Source.objects.create(name="warm")
    overflow = Pool.objects.create(name="overflow")
    PoolMember.objects.create(pool=overflow, source=warm)
    Pool.objects.filter(name="acme-pool").update(overflow=overflow)
    path = routed(batch(cast)).path
    assert path is not None
    assert path.source_name == "warm"


def test_engaged_recipients_have_a_cold_source_before_others_of_their_convoy(cast: Cast) -> None:
    warming(cast.source)
    others = batch(cast, *(f"u{n}@x.test" for n in range(9)))
    readers = replace(batch(cast, *(f"r{n}@x.test" for n in range(8))), engaged=True)
    now = now_ms()
    rest, first = route([others, readers], {"x.test": FOUND}, random.Random(1))
    assert first.path is not None
    assert first.outcomes == ()
    assert rest.path is not None
    assert (rest.window, len(rest.outcomes)) == (2, 7)
    # What was left for them may yet be more: a reader's message that is not tried leaves its place.
    assert {now < one.until < now + 5_000 for one in rest.outcomes} == {True}


def test_pools_that_overflow_in_a_circle_end(cast: Cast) -> None:
    other = Pool.objects.create(name="other", overflow=Pool.objects.get(name="acme-pool"))
    Pool.objects.filter(name="acme-pool").update(overflow=other)
    PoolMember.objects.create(pool=other, source=Source.objects.create(name="s", status="draining"))
    Source.objects.update(status="suspended")
    assert reasons(routed(batch(cast))) == {("limited", "no active source in pool acme-pool")}


def test_retried_mail_keeps_its_source_while_that_may_send(cast: Cast) -> None:
    other = Source.objects.create(name="other")
    PoolMember.objects.create(pool=Pool.objects.get(name="acme-pool"), source=other, weight=10_000)
    bound = replace(batch(cast), bound_source_id=cast.source.pk)
    path = routed(bound).path
    assert path is not None
    assert path.source_name == "acme-source"
    Source.objects.filter(pk=cast.source.pk).update(status="suspended")
    sources.forget()
    path = routed(bound).path
    assert path is not None
    assert path.source_name == "other"
