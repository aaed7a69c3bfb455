"""explain_path: the same path that delivery would take, with the rule behind each limit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError

from mta import wiring
from mta.delivery.path_limits import warmup_counter
from mta.egress.models import (
    Pool,
    PoolMember,
    ShapingRule,
    Source,
    Suspension,
    WarmupSchedule,
    WarmupStage,
)
from mta.limits.egress import Bucket, Slot
from mta.suppression.models import Suppression
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
    """The cast's source on the second day of its warmup; the pool overflows into another."""
    schedule = WarmupSchedule.objects.create(name="slow")
    for day, number in enumerate((10, 20, 30), 1):
        WarmupStage.objects.create(schedule=schedule, day=day, per_day=number)
    Source.objects.update(
        warmup_schedule=schedule, warmup_started_on=datetime.now(UTC).date() - timedelta(days=1)
    )
    return cast.source


def use(cap: int, count: int) -> None:
    counter = warmup_counter("acme-source", "(mx1|mx2).x.test", cap, datetime.now(UTC))
    assert wiring.limits().take(count, counters=[counter]).granted == count


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
    assert (source["name"], source["connections"], source["connections_used"]) == (
        "acme-source", 3, 0)  # fmt: skip
    assert source["own_limits"]["messages_per_second"] == [7.5, f"admin: {own}"]
    assert found["next"]["reason"] == "nothing keeps it back"


def test_a_provider_is_known_by_its_hosts(cast: Cast) -> None:
    found = answer("explain_path", "acme", "ann@g.test", "--stream", "bulk")
    assert (found["provider"], found["stream"]) == ("google", "bulk")
    assert {"name": "tls", "value": "required", "rule": "google"} in found["limits"]


def test_warmup_and_overflow(cast: Cast, warming: Source) -> None:
    spare = Pool.objects.create(name="spare")
    PoolMember.objects.create(pool=spare, source=Source.objects.create(name="warm"), weight=4)
    Pool.objects.filter(name="acme-pool").update(overflow=spare)
    use(20, 5)
    first, second = answer(*TO)["sources"]
    told = [first[key] for key in ("pool", "warmup_day", "cap", "used", "remaining")]
    assert told == ["acme-pool", 2, 20, 5, 15]
    assert (second["pool"], second["name"], second["cap"], second["weight"]) == (
        "spare", "warm", None, 4)  # fmt: skip
    assert "day 2: 5 of 20 used" in text(*TO)


def test_used_up_caps_wait_for_tomorrow(cast: Cast, warming: Source) -> None:
    use(20, 20)
    found = answer(*TO)["next"]
    assert "caps of today are used up" in found["reason"]
    assert found["at"].endswith("T00:00:00.000Z")


def test_rate_and_connections(cast: Cast) -> None:
    ShapingRule.objects.create(
        match_kind="site", match="x.test", messages_per_second=0.01, burst=1, connections=1
    )
    site = "(mx1|mx2).x.test"
    wiring.limits().acquire([Slot(f"connections:acme-source:{site}", 1, "worker", 60)])
    assert "all connections to the site are in use" in answer(*TO)["next"]["reason"]
    # Asking cost no token: the one of the burst is still there.
    bucket = Bucket(f"rate:acme-source:{site}", 0.01, 1)
    assert wiring.limits().take(1, buckets=[bucket]).granted == 1
    found = answer(*TO)
    assert "the rate of 0.01 a second is used up" in found["next"]["reason"]
    assert 0 < found["sources"][0]["retry_in"] <= 100


@pytest.mark.parametrize(
    ("scope", "key", "says"),
    [
        ("tenant", "acme", "tenant acme is suspended"),
        ("site", "x.test", "site x.test is suspended"),
        ("source", "acme-source", "no source of the pool may send"),
    ],
)
def test_suspensions(cast: Cast, scope: str, key: str, says: str) -> None:
    Suspension.objects.create(scope=scope, key=key, reason="blocked")
    found = answer(*TO)
    assert [(stop["kind"], stop["key"]) for stop in found["suspensions"]] == [(scope, key)]
    assert says in found["next"]["reason"]
    assert "(blocked)" in text(*TO)


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

    def gone(*_: Any) -> None:
        raise redis.ConnectionError

    monkeypatch.setattr(wiring.limits(), "held", gone)
    found = answer(*TO)
    assert found["sources"][0]["connections_used"] is None
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
