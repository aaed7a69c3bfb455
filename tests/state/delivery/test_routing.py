"""Routing rules and the choose_pool hook: which way a batch takes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.db import connection
from django.test.utils import CaptureQueriesContext

from mta import wiring
from mta.delivery import routing_rules
from mta.delivery.batch import Batch
from mta.delivery.routing import Choice, choices
from mta.egress import sources
from mta.egress.models import Pool, RoutingRule, Source
from mta.events.models import Decision
from mta.limits.tally import Counted, Tally
from mta.policy.hooks import Hooks, Waiting
from mta.spool.inject import inject
from mta.storage.fields import now_ms
from tests.cast import Cast, make_cast
from tests.state.spool import desk

pytestmark = pytest.mark.django_db
PLACE = ("mx.x.test", "google")


@pytest.fixture(autouse=True)
def tally(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tally]:
    """Counts of this test alone."""
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
        counts = Tally(client)
        monkeypatch.setattr(wiring, "tally", lambda: counts)
        routing_rules._told.clear()
        yield counts


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> list[Waiting]:
    """A hook that sends mail for x.test through the pool slow, and what it was asked."""
    asked: list[Waiting] = []

    def choose_pool(batch: Waiting) -> str | None:
        asked.append(batch)
        return "slow" if batch.domain == "x.test" else None

    monkeypatch.setattr(wiring, "hooks", lambda: Hooks("policies", choose_pool=choose_pool))
    return asked


def rule(condition: str, action: str = "pool", position: int = 1, **values: Any) -> RoutingRule:
    if action == "pool" and "pool" not in values:
        values["pool"] = pool()
    name = values.pop("name", f"rule-{position}")
    made: RoutingRule = RoutingRule.objects.create(
        position=position, name=name, condition=condition, action=action, **values
    )
    return made


def pool(name: str = "slow", **values: Any) -> Pool:
    return Pool.objects.get_or_create(name=name, defaults=values)[0]


def batch(cast: Cast, *to: str, domain: str = "x.test", **values: Any) -> Batch:
    inject([cast.message(*(to or (f"a@{domain}", f"b@{domain}")), **values)])
    return claimed(cast, domain)


def claimed(cast: Cast, domain: str = "x.test") -> Batch:
    held = desk.take(domain)
    return Batch(
        token=held.token, lane_id=desk.lane(domain).pk, tenant_id=cast.tenant.pk,
        stream_id=cast.transactional.pk, domain=domain, recipient_ids=held.recipient_ids,
        claimed_at=now_ms(),
    )  # fmt: skip


def chosen(given: Batch) -> Choice:
    return choices([given], {given.token: PLACE}).get(given.token, Choice())


def test_without_rules_and_hooks_nothing_is_read(cast: Cast) -> None:
    given = batch(cast)
    assert choices([given], {given.token: PLACE}) == {}
    with CaptureQueriesContext(connection) as queries:
        assert choices([given], {given.token: PLACE}) == {}
    assert len(queries) == 0


def test_a_domain_that_bounces_goes_through_the_slow_pool(cast: Cast, tally: Tally) -> None:
    rule("domain_bounce_rate > 0.05 and domain_attempts >= 20")
    given, other = batch(cast), batch(cast, domain="y.test")
    tally.add(
        [Counted("domain", "x.test", "delivered", 37), Counted("domain", "x.test", "bounced", 3)]
    )
    tally.add(
        [Counted("domain", "y.test", "delivered", 97), Counted("domain", "y.test", "bounced", 3)]
    )
    found = choices([given, other], {given.token: PLACE, other.token: PLACE})
    assert found == {given.token: Choice(pool_id=pool().pk, rule="rule-1")}


def test_a_rate_of_few_attempts_says_nothing(cast: Cast, tally: Tally) -> None:
    rule("domain_bounce_rate > 0.05 and domain_attempts >= 20")
    tally.add([Counted("domain", "x.test", "bounced", 19)])
    assert chosen(batch(cast)) == Choice()


def test_the_first_rule_that_holds_decides(cast: Cast) -> None:
    host = Source.objects.create(name="relay", kind="smart_host", host="relay.test")
    rule('domain == "y.test"', position=1)
    rule('provider == "google"', "source", position=2, source=host)
    rule("true", "hold", position=3)
    assert chosen(batch(cast)) == Choice(source_id=host.pk, rule="rule-2")


def test_facts_of_the_batch(cast: Cast) -> None:
    rule(
        'domain == "x.test" and site == "mx.x.test" and provider == "google" and tenant == "acme" '
        'and stream == "transactional" and stream_kind == "transactional"'
    )
    assert chosen(batch(cast)).pool_id == pool().pk


def test_facts_of_the_message(cast: Cast) -> None:
    rule('campaign == "may" and "news" in tags and size > 10 and size < 10000 and attempts == 0')
    assert chosen(batch(cast, campaign="may", tags=["news"])).pool_id == pool().pk
    assert chosen(batch(cast, campaign="june", tags=["news"])) == Choice()


def test_rates_of_campaign_tenant_and_provider(cast: Cast, tally: Tally) -> None:
    rule("campaign_complaint_rate > 0.01 and tenant_deferral_rate < 0.1 and provider_blocked == 3")
    tally.add([
        Counted("campaign", "acme/may", "delivered", 50),
        Counted("campaign", "acme/may", "complaints", 1),
        Counted("tenant", "acme", "delivered", 10),
        Counted("provider", "google", "blocked", 3),
    ])  # fmt: skip
    assert chosen(batch(cast, campaign="may")).rule == "rule-1"
    assert chosen(batch(cast, campaign="june")) == Choice()


def test_messages_of_all_batches_are_read_in_one_query(cast: Cast) -> None:
    rule('"news" in tags')
    given = [batch(cast, domain=f"d{n}.test") for n in range(5)]
    assert choices(given, {}) == {}
    with CaptureQueriesContext(connection) as queries:
        choices(given, {})
    assert len(queries) <= 1  # PostgreSQL's prepared statements are not captured


def test_recipients_of_another_way_stay_apart(cast: Cast) -> None:
    rule('campaign == "may"')
    inject([cast.message("a@x.test", campaign="may"), cast.message("b@x.test"),
            cast.message("c@x.test", campaign="may")])  # fmt: skip
    given = claimed(cast)
    _, second, third = given.recipient_ids
    choice = chosen(given)
    assert choice.pool_id == pool().pk
    assert choice.apart == {second}
    assert third not in choice.apart


def test_hold_and_reject_are_of_each_recipient(cast: Cast) -> None:
    rule('campaign == "may"', "hold", position=1, name="wait-for-may")
    rule('campaign == "june"', "reject", position=2, reason="there is no June")
    rule('campaign == "july"', "reject", position=3, name="no-july")
    inject([cast.message("a@x.test", campaign="may"), cast.message("b@x.test", campaign="june"),
            cast.message("c@x.test", campaign="july"), cast.message("d@x.test")])  # fmt: skip
    given = claimed(cast)
    a, b, c, _ = given.recipient_ids
    choice = chosen(given)
    assert choice.held == {a: "held by the rule wait-for-may"}
    assert choice.rejected == {
        b: "550 5.7.1 there is no June",
        c: "550 5.7.1 refused by the rule no-july",
    }
    assert choice.apart == frozenset()


@pytest.mark.parametrize(("priority", "urgent"), [("transactional", True), ("bulk", False)])
def test_priority(cast: Cast, priority: str, urgent: bool) -> None:
    rule("true", "priority", priority=priority)
    assert chosen(batch(cast)) == Choice(urgent=urgent, rule="rule-1")


def test_a_rule_in_trouble_is_skipped_logged_and_written_down_once(
    cast: Cast, caplog: pytest.LogCaptureFixture
) -> None:
    rule("size / (size - size) > 1", position=1)
    rule("true", "hold", position=2)
    with caplog.at_level(logging.WARNING):
        assert set(chosen(batch(cast)).held) != set()
        chosen(batch(cast))
    told = [one.getMessage() for one in caplog.records if "rule-1" in one.getMessage()]
    assert told == ["routing rule rule-1 is skipped: arithmetic error: division by zero"]
    (decision,) = Decision.objects.all()
    assert (decision.actor, decision.kind) == ("routing", "rule_skipped")
    assert "rule-1" in decision.reason


def test_a_rule_that_does_not_compile_is_skipped(cast: Cast) -> None:
    rule("no_such_name > 1", position=1)
    rule("true", position=2)
    assert chosen(batch(cast)).rule == "rule-2"
    assert "no_such_name" in Decision.objects.get().reason


def test_nobody_sends_through_a_pool_of_another_tenant(cast: Cast) -> None:
    other = make_cast("other", "other.test")
    rule("true", pool=pool("theirs", tenant=other.tenant))
    assert chosen(batch(cast)) == Choice()
    assert "another tenant" in Decision.objects.get().reason


def test_a_disabled_rule_is_not_asked(cast: Cast) -> None:
    rule("true", enabled=False)
    assert chosen(batch(cast)) == Choice()


def test_the_hook_chooses_by_the_name_of_the_pool(cast: Cast, hook: list[Waiting]) -> None:
    pool()
    sources.forget()
    assert chosen(batch(cast)) == Choice(pool_id=pool().pk)
    assert chosen(batch(cast, domain="y.test")) == Choice()
    assert hook[0] == Waiting(
        "acme", "transactional", "transactional", "x.test", *PLACE, recipients=2
    )


def test_rules_come_before_the_hook(cast: Cast, hook: list[Waiting]) -> None:
    rule("true", pool=pool("fast"))
    assert chosen(batch(cast)).pool_id == pool("fast").pk
    assert hook == []


def test_the_hook_is_asked_beside_a_rule_of_priority(cast: Cast, hook: list[Waiting]) -> None:
    pool()
    sources.forget()
    rule("true", "priority", priority="bulk")
    assert chosen(batch(cast)) == Choice(pool_id=pool().pk, urgent=False, rule="rule-1")


def test_a_pool_that_is_not_there_makes_the_batch_wait(cast: Cast, hook: list[Waiting]) -> None:
    choice = chosen(batch(cast))
    assert choice.pool_id == 0
    assert choice.wait == (
        "policies.choose_pool failed: LookupError: there is no pool 'slow'; there are acme-pool"
    )


def test_a_hook_that_raises_makes_the_batch_wait(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def choose_pool(batch: Waiting) -> str | None:
        raise KeyError("x")

    monkeypatch.setattr(wiring, "hooks", lambda: Hooks("policies", choose_pool=choose_pool))
    assert chosen(batch(cast)).wait == "policies.choose_pool failed: KeyError: 'x'"
    assert "policies.choose_pool: mail to x.test waits" in caplog.text
