"""explain_path: the same path that delivery would take, with the rule behind each limit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError

from mta import wiring
from mta.delivery import shaping
from mta.delivery.batch import Outcome, Path
from mta.delivery.path_limits import warmup_counter
from mta.delivery.throttle import Watch
from mta.egress.models import (
    Pool,
    PoolMember,
    ShapingRule,
    Source,
    Suspension,
    WarmupSchedule,
    WarmupStage,
    WarmupState,
)
from mta.limits.egress import Bucket, Slot
from mta.spool import waiting
from mta.spool.inject import inject
from mta.spool.models import Lane
from mta.storage.fields import now_ms
from mta.suppression.models import Suppression
from mta.tenants.models import Stream, Tenant
from tests.cast import Cast
from tests.effects.net.names import Names
from tests.state.commands.run import answer, text

TO = ("explain_path", "acme", "ann@x.test")


@pytest.fixture(autouse=True)
def zones(names: Names) -> None:
    names.records |= {
        "x.test MX": ["10 mx1.x.test.", "20 mx2.x.test."],
        "mx1.x.test A": ["127.0.0.9"],
        "mx2.x.test A": ["127.0.0.8"],
        "g.test MX": ["5 aspmx.l.google.com."],
        "aspmx.l.google.com A": ["127.0.0.7"],
        "null.test MX": ["0 ."],
    }


@pytest.fixture
def warming(cast: Cast) -> Source:
    """The cast's source at the second stage of its warmup; the pool overflows into another."""
    schedule = WarmupSchedule.objects.create(name="slow")
    for day, number in enumerate((10, 20, 30), 1):
        WarmupStage.objects.create(schedule=schedule, day=day, per_day=number)
    Source.objects.update(
        warmup_schedule=schedule, warmup_started_on=datetime.now(UTC).date() - timedelta(days=1)
    )
    today = datetime.now(UTC).date()
    WarmupState.objects.create(
        source=cast.source, reach="(mx1|mx2).x.test", stage=2, status="warming",
        stage_started_on=today,
    )  # fmt: skip
    return cast.source


def use(cap: int, count: int) -> None:
    counter = warmup_counter("acme-source", "(mx1|mx2).x.test", cap, datetime.now(UTC))
    assert wiring.limits().take(count, counters=[counter]).granted == count


def uses(source: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(use["what"], use["of"]): use for use in source["uses"]}


def test_site_hosts_and_rules(cast: Cast) -> None:
    ShapingRule.objects.create(match_kind="site", match="x.test", connections=3)
    own = ShapingRule.objects.create(
        match_kind="site", match="x.test", source=cast.source, messages_per_second=7.5
    )
    found = answer(*TO)
    assert (found["site"], found["provider"], found["stream"]) == (
        "(mx1|mx2).x.test", "", "transactional")  # fmt: skip
    assert [(mx["host"], mx["addresses"]) for mx in found["mx"]] == [
        ("mx1.x.test", ["127.0.0.9"]), ("mx2.x.test", ["127.0.0.8"])]  # fmt: skip
    limits = {limit["name"]: (limit["value"], limit["rule"]) for limit in found["limits"]}
    assert limits["connections"] == (3, "admin: site x.test")
    assert limits["messages_per_connection"] == (100, "default")
    (source,) = found["sources"]
    assert (source["name"], source["site"]) == ("acme-source", "(mx1|mx2).x.test")
    assert source["own_limits"]["messages_per_second"] == [7.5, f"admin: {own}"]
    assert found["next"]["reason"] == "nothing keeps it back"


def test_a_provider_is_known_by_its_hosts(cast: Cast) -> None:
    found = answer("explain_path", "acme", "ann@g.test", "--stream", "bulk")
    assert (found["provider"], found["stream"]) == ("google", "bulk")
    limits = {limit["name"]: limit for limit in found["limits"]}
    assert (limits["tls"]["value"], limits["tls"]["rule"]) == ("required", "google")


def test_what_holds_for_the_site_and_what_across_its_provider(cast: Cast) -> None:
    ShapingRule.objects.create(match_kind="site", match="google.com", connections=2)
    found = answer("explain_path", "acme", "ann@g.test")
    limits = {limit["name"]: limit for limit in found["limits"]}
    told = limits["connections"]
    assert [told[name] for name in ("value", "rule", "across", "across_rule")] == [
        2, "admin: site google.com", 5, "google"]  # fmt: skip
    assert limits["messages_per_second"]["across"] is None
    used = uses(found["sources"][0])
    here = used["open connections", "acme-source to aspmx.l.google.com"]
    assert (here["most"], here["rule"]) == (2, "admin: site google.com")
    there = used["open connections", "acme-source to all of google"]
    assert (there["most"], there["rule"]) == (5, "google")
    assert "connections, all of google" in text("explain_path", "acme", "ann@g.test")


def test_what_is_used_of_each_limit_now(cast: Cast) -> None:
    ShapingRule.objects.create(match_kind="site", match="x.test", messages_per_hour=36, burst=3)
    Source.objects.update(messages_per_day=864_000)
    Stream.objects.update(messages_per_hour=7200)
    Tenant.objects.update(messages_per_second=5, quota_per_day=50, quota_action="delay")
    site = "acme-source to (mx1|mx2).x.test"
    rate = Bucket("hour:acme-source:(mx1|mx2).x.test", 0.01, 3)
    assert wiring.limits().take(2, buckets=[rate]).granted == 2
    lease = Slot("connections:acme-source:(mx1|mx2).x.test", 10, "worker", 60)
    assert wiring.limits().acquire([lease]) == ""
    (source,) = answer(*TO)["sources"]
    used = uses(source)
    told = {key: (use["most"], use["burst"], use["free"], use["rule"]) for key, use in used.items()}
    mine = "admin: site x.test"
    assert told == {
        ("open connections", site): (10, None, 9, "default"),
        ("new connections a minute", site): (100, 100, 100, "default"),
        ("messages a second", site): (100, 100, 100, "default"),
        ("messages an hour", site): (36, 3, 1, mine),
        ("messages a day", "source acme-source"): (864_000, 36_000, 36_000, "source acme-source"),
        ("messages an hour", "stream transactional"): (7200, 120, 120, "stream transactional"),
        ("messages a second", "tenant acme"): (5, 5, 5, "tenant acme"),
        ("messages of the tenant's quota", "tenant acme"): (50, None, 50, "tenant acme"),
    }
    assert (source["free"], source["retry_in"]) == (1, 0)
    assert wiring.limits().take(1, buckets=[rate]).granted == 1, "asking takes nothing"
    (source,) = answer(*TO)["sources"]
    assert 0 < uses(source)["messages an hour", site]["retry_in"] <= 100
    shown = text(*TO)
    assert "36, burst 3" in shown
    assert "in 100.0 s" in shown or "in 99." in shown


def test_a_changed_rule_acts_within_five_seconds_without_a_restart(cast: Cast) -> None:
    """What is told here is the way that delivery makes of the same rules for its next batch."""

    def told() -> tuple[float, int]:
        (source,) = answer(*TO)["sources"]
        use = uses(source)["messages an hour", "acme-source to (mx1|mx2).x.test"]
        return use["most"], use["burst"]

    ShapingRule.objects.create(match_kind="site", match="x.test", messages_per_hour=3600)
    assert told() == (3600, 60)
    ShapingRule.objects.update(messages_per_hour=7200, burst=9)
    kept = shaping._last[0]
    shaping._last[0] = kept._replace(at=kept.at - 5.0)  # five seconds later
    assert told() == (7200, 9)


def test_what_replies_have_done(cast: Cast) -> None:
    site = "(mx1|mx2).x.test"
    busy = [Outcome(1, "", "dot", "Server busy", 451, "4.7.500", at=now_ms())]
    Watch().after(path("acme-source", site), busy)
    found = answer(*TO)
    (source,) = found["sources"]
    assert 0 < source["throttle"]["rate"] <= 1 / 60
    assert source["throttle"]["connections"] == 1
    used = uses(source)
    assert used["open connections", f"acme-source to {site}"]["most"] == 1
    slow = used["messages a second that replies allow", f"acme-source to {site}"]
    assert slow["rule"] == "replies: 451 4.7.500 Server busy"
    assert "throttled" in text(*TO)


def path(source: str, site: str) -> Path:
    return Path(
        site=site, provider="", hosts=(), source_id=1, source_name=source, source_address="",
        ehlo_name="mail.example", tls="none", connections=10, messages_per_connection=100,
        timeouts=(), queue="", rate=50.0,
    )  # fmt: skip


def test_warmup_and_overflow(cast: Cast, warming: Source) -> None:
    spare = Pool.objects.create(name="spare")
    PoolMember.objects.create(pool=spare, source=Source.objects.create(name="warm"), weight=4)
    Pool.objects.filter(name="acme-pool").update(overflow=spare)
    use(20, 5)
    first, second = answer(*TO)["sources"]
    told = [first[key] for key in ("pool", "warmup_stage", "cap", "used", "remaining")]
    assert told == ["acme-pool", 2, 20, 5, 15]
    assert (second["pool"], second["name"], second["cap"], second["weight"]) == (
        "spare", "warm", None, 4)  # fmt: skip
    assert "stage 2: 5 of 20 used" in text(*TO)


def test_used_up_caps_wait_for_tomorrow(cast: Cast, warming: Source) -> None:
    use(20, 20)
    found = answer(*TO)["next"]
    assert "the warmup cap of today of acme-source" in found["reason"]
    assert found["at"].endswith("T00:00:00.000Z")


def test_rate_and_connections(cast: Cast) -> None:
    ShapingRule.objects.create(
        match_kind="site", match="x.test", messages_per_second=0.01, burst=1, connections=1
    )
    site = "(mx1|mx2).x.test"
    wiring.limits().acquire([Slot(f"connections:acme-source:{site}", 1, "worker", 60)])
    assert "all connections are in use (all 1 of acme-source" in answer(*TO)["next"]["reason"]
    # Asking cost no token: the one of the burst is still there.
    bucket = Bucket(f"rate:acme-source:{site}", 0.01, 1)
    assert wiring.limits().take(1, buckets=[bucket]).granted == 1
    found = answer(*TO)
    assert (
        found["next"]["reason"] == f"limit: the rate a second of acme-source to {site} is used up"
    )
    assert 0 < found["sources"][0]["retry_in"] <= 100


def test_what_waits_goes_first(cast: Cast) -> None:
    inject([cast.message("ann@x.test")])
    until = now_ms() + 60_000
    waiting.put_off([waiting.PutOff(Lane.objects.get().pk, until, "rate:a", "limit: used up")])
    found = answer(*TO)
    assert found["lanes"][0]["urgency"] == "transactional"
    assert found["next"]["reason"] == "what waits goes first: limit: used up"
    assert "waits, in " in text(*TO)
    waiting.release("rate:a")
    assert answer(*TO)["next"]["reason"] == "nothing keeps it back"


@pytest.mark.parametrize(
    ("scope", "key", "says"),
    [
        ("tenant", "acme", "tenant acme is suspended"),
        ("site", "x.test", "site x.test is suspended"),
        ("provider", "google", "provider google is suspended"),
        ("source", "acme-source", "no source of the pool may send"),
    ],
)
def test_suspensions(cast: Cast, scope: str, key: str, says: str) -> None:
    Suspension.objects.create(scope=scope, key=key, reason="blocked")
    to = TO if scope != "provider" else ("explain_path", "acme", "ann@g.test")
    found = answer(*to)
    assert [(stop["kind"], stop["key"]) for stop in found["suspensions"]] == [(scope, key)]
    assert says in found["next"]["reason"]
    assert "(blocked)" in text(*to)


def test_suppression_comes_first(cast: Cast) -> None:
    Suppression.objects.create(address="ann@x.test", reason="complaint", origin="fbl")
    found = answer(*TO)
    assert found["suppressions"][0]["kind"] == "complaint"
    assert found["next"]["reason"].startswith("never: the address is suppressed for all tenants")


@pytest.mark.parametrize(
    ("domain", "says"), [("null.test", "null MX"), ("gone.test", "does not exist")]
)
def test_what_the_dns_refuses(cast: Cast, domain: str, says: str) -> None:
    found = answer("explain_path", "acme", f"ann@{domain}")
    assert says in found["dns_error"]
    assert found["next"]["reason"].startswith("mail bounces")
    assert says in text("explain_path", "acme", f"ann@{domain}")


def test_without_redis_the_rest_is_told(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    import redis

    def gone(*_: Any, **__: Any) -> None:
        raise redis.ConnectionError

    monkeypatch.setattr(wiring.limits(), "room", gone)
    found = answer(*TO)
    source = found["sources"][0]
    assert (source["free"], source["retry_in"], source["uses"]) == (None, None, [])
    assert "Redis does not answer" in found["next"]["reason"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("nobody", "ann@x.test"), "TENANT: there is no tenant named 'nobody'"),
        (("acme", "ann"), "ADDRESS: 'ann' is no mail address"),
        (("acme", "ann@x.test", "--stream", "x"), "--stream: There is no stream"),
    ],
)
def test_wrong_words_are_named(cast: Cast, words: tuple[str, ...], says: str) -> None:
    with pytest.raises(CommandError, match=says):
        text("explain_path", *words)
