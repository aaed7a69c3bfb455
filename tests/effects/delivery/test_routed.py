"""From replies to another way: what was settled is counted, and a rule acts on the rate."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import redis

from mta import wiring
from mta.delivery import network
from mta.delivery.batch import Batch, Outcome
from mta.delivery.judge import judge, slots
from mta.delivery.route import route
from mta.egress.models import Pool, PoolMember, RoutingRule, Source
from mta.limits.egress import Limits
from mta.limits.tally import Tally
from mta.net.dns import MxHost, Route
from mta.spool.models import Recipient
from mta.storage.fields import now_ms
from tests.cast import Cast
from tests.state.spool import desk

pytestmark = pytest.mark.django_db(transaction=True)
FOUND = Route("x.test", (MxHost("mx1.x.test", 10, ("192.0.2.1",)),), 0.0)


@pytest.fixture(autouse=True)
def _limits(limits: Limits) -> None:
    """Redis of this test."""


@pytest.fixture
def slow(cast: Cast) -> Pool:
    pool = Pool.objects.create(name="slow")
    PoolMember.objects.create(pool=pool, source=Source.objects.create(name="slow-source"))
    RoutingRule.objects.create(
        name="bouncing", condition="domain_bounce_rate > 0.05 and domain_attempts >= 20",
        action="pool", pool=pool,
    )  # fmt: skip
    return pool


def batch(cast: Cast, *to: str, **values: Any) -> Batch:
    desk.injected(cast, *to, **values)
    held = desk.take("x.test")
    made = Batch(
        token=held.token, lane_id=desk.lane("x.test").pk, tenant_id=cast.tenant.pk,
        stream_id=cast.transactional.pk, domain="x.test", recipient_ids=held.recipient_ids,
        claimed_at=now_ms(),
    )  # fmt: skip
    wiring.limits().acquire(slots(made.token, "x.test"))
    return made


def routed(given: Batch) -> Batch:
    (done,) = route([given], {given.domain: FOUND}, random.Random(1))
    return done


def through(given: Batch) -> str:
    path = routed(given).path
    assert path is not None
    return path.source_name


def answered(given: Batch, *codes: int) -> Batch:
    """The batch as deliver gives it back, with one reply for each recipient."""
    stages = {250: ("dot", "2.0.0"), 550: ("rcpt", "5.1.1"), 451: ("rcpt", "4.7.1")}
    return routed(given).with_outcomes(*(
        Outcome(rid, "", stages[code][0], "says so", code, stages[code][1], at=now_ms())
        for rid, code in zip(given.recipient_ids, codes, strict=True)
    ))  # fmt: skip


@pytest.fixture
def anew(limits: Limits, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A tally that trusts nothing that it has read."""
    with redis.Redis.from_url(redis_url) as client:
        monkeypatch.setattr("mta.limits.tally.FRESH_SECONDS", 0.0)
        tally = Tally(client, "test-routed:")
        client.delete(*(client.keys("test-routed:*") or ["-"]))
        monkeypatch.setattr(wiring, "tally", lambda: tally)
        yield


def test_a_domain_that_bounces_moves_to_the_slow_pool(cast: Cast, slow: Pool, anew: None) -> None:
    first = batch(cast, *(f"u{n}@x.test" for n in range(19)))
    judge([answered(first, *[250] * 17, 550, 550)], random.Random(1))
    assert through(batch(cast, "a@x.test")) == "acme-source", "19 tries say nothing"
    judge([answered(batch(cast, "b@x.test", "d@x.test"), 250, 451)], random.Random(1))
    assert wiring.tally().read([("domain", "x.test")])["domain", "x.test"] == {
        "attempts": 21, "delivered": 18, "deferred": 1, "bounced": 2, "blocked": 0,
        "complaints": 0,
    }  # fmt: skip
    assert through(batch(cast, "c@x.test")) == "slow-source"


def test_every_dimension_is_counted(cast: Cast, anew: None) -> None:
    given = batch(cast, "a@x.test", "b@x.test", campaign="may")
    judge([answered(given, 250, 550)], random.Random(1))
    keys = [
        ("domain", "x.test"), ("tenant", "acme"), ("campaign", "acme/may"),
        ("source", "acme-source"),
    ]  # fmt: skip
    found = wiring.tally().read([*keys, ("provider", "")])
    assert found.pop(("provider", "")) == {}
    assert [(counts["delivered"], counts["bounced"]) for counts in found.values()] == [(1, 1)] * 4


def test_held_and_rejected_mail_is_settled_and_feeds_no_rate(cast: Cast, anew: None) -> None:
    make = RoutingRule.objects.create
    make(position=1, name="wait", condition='campaign == "may"', action="hold", reason="until May")
    make(position=2, name="no", condition="true", action="reject", reason="not today")
    desk.injected(cast, "a@x.test", campaign="may")
    given = routed(batch(cast, "b@x.test"))
    assert given.path is None
    judge([given], random.Random(1))
    held, rejected = Recipient.objects.filter(address__endswith="@x.test").order_by("address")
    assert (held.state, held.last_reply) == ("held", "held by the rule wait: until May")
    assert (rejected.state, rejected.bounce_class) == ("bounced", "policy")
    assert rejected.last_reply == "550 5.7.1 not today"
    assert wiring.tally().read([("domain", "x.test")])["domain", "x.test"]["attempts"] == 0


def test_a_rule_sends_mail_through_a_smart_host(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay = Source.objects.create(name="relay", kind="smart_host", host="127.0.0.9", port=2525)
    RoutingRule.objects.create(name="all", condition="true", action="source", source=relay)
    path = routed(batch(cast, "a@x.test")).path
    assert path is not None
    assert (path.source_name, path.port, path.tls) == ("relay", 2525, "required")
    assert [addresses for _, addresses in path.hosts] == [("127.0.0.9",)]
    assert path.site == "127.0.0.9"


def test_a_smart_host_that_is_not_found_makes_mail_wait(cast: Cast) -> None:
    relay = Source.objects.create(name="relay", kind="smart_host", host="relay..test")
    RoutingRule.objects.create(name="all", condition="true", action="source", source=relay)
    done = routed(batch(cast, "a@x.test"))
    assert done.path is None
    (outcome,) = done.outcomes
    assert (outcome.kind, outcome.until > now_ms()) == ("limited", True)
    assert "relay..test is not a host name" in outcome.reply


def test_recipients_apart_leave_in_the_next_batch(cast: Cast, slow: Pool) -> None:
    RoutingRule.objects.update(condition='campaign == "may"')
    desk.injected(cast, "a@x.test", campaign="may")
    given = routed(batch(cast, "b@x.test"))
    assert given.path is not None
    assert given.path.source_name == "slow-source"
    (apart,) = given.outcomes
    assert (apart.kind, apart.recipient_id) == ("limited", given.recipient_ids[1])
    sent = Outcome(given.recipient_ids[0], "", "dot", "ok", 250, "2.0.0", at=now_ms())
    judge([given.with_outcomes(sent)], random.Random(1))
    held = desk.take("x.test")
    assert held.recipient_ids == (apart.recipient_id,)
    again = replace(given, token=held.token, recipient_ids=held.recipient_ids, outcomes=())
    assert through(replace(again, path=None)) == "acme-source"


@pytest.fixture(autouse=True)
def _no_loop() -> Iterator[None]:
    """The resolver's loop of this process ends with the test."""
    yield
    for made in network._network:
        made.loop.stop()
    network._network.clear()
