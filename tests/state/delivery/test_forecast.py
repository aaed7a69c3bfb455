"""When a campaign will be done: what is counted, which limits count, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from django.db import connection

from mta import wiring
from mta.delivery import forecast_sources
from mta.delivery.forecast import COUNTED, Forecast, forecast
from mta.delivery.path_limits import warmup_counter
from mta.egress import sources
from mta.egress.models import Pool, PoolMember, ShapingRule, Source, Suspension
from mta.policy.throttled import Throttled
from mta.spool.models import Lane, Recipient
from mta.tenants.models import Stream, Tenant
from tests.cast import Cast
from tests.state.egress.warming import state, warming_source
from tests.state.spool import desk

pytestmark = pytest.mark.django_db
NOW = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) + timedelta(days=1)
DAY = 86_400


@pytest.fixture(autouse=True)
def live(redis_url: str, settings: Any) -> Iterator[None]:
    """A Redis that counts."""
    settings.MAILMILL = replace(settings.MAILMILL, redis_url=redis_url)
    forget()
    wiring.redis_client().flushdb()
    yield
    forget()


def forget() -> None:
    for one in vars(wiring).values():
        if hasattr(one, "cache_clear"):
            one.cache_clear()


def waiting(cast: Cast, number: int, domain: str = "x.test", site: str = "mx.x.test") -> None:
    desk.injected(cast, *(f"r{n}@{domain}" for n in range(number)), campaign="spring")
    Lane.objects.filter(domain=domain).update(site=site)


def told(cast: Cast) -> Forecast:
    sources.forget()
    found = forecast(cast.tenant, "spring", NOW)
    assert found is not None
    return found


def after(at: datetime | None) -> float:
    assert at is not None
    return (at - NOW).total_seconds()


def slow(match: str = "mx.x.test", rate: float = 0.5, kind: str = "site") -> None:
    ShapingRule.objects.create(match_kind=kind, match=match, messages_per_second=rate)


def test_a_rate(cast: Cast) -> None:
    slow()
    waiting(cast, 20)
    found = told(cast)
    assert (found.waiting, found.held) == (20, 0)
    assert after(found.done_at) == pytest.approx(40, abs=0.01)
    assert found.latest_at == found.done_at
    assert found.limited_by == "messages_per_second"
    (line,) = found.lines
    assert (line.reach, line.known, line.stream) == ("mx.x.test", True, "transactional")


def test_only_this_campaign_of_this_tenant_and_nothing_that_is_done(cast: Cast) -> None:
    waiting(cast, 5)
    desk.injected(cast, "other@x.test", campaign="autumn")
    Recipient.objects.filter(address="r0@x.test").update(state="delivered", next_attempt_at=None)
    Recipient.objects.filter(address="r1@x.test").update(state="held")
    found = told(cast)
    assert (found.waiting, found.held) == (3, 1)
    assert forecast(cast.tenant, "nothing", NOW) is None
    assert forecast(Tenant.objects.create(name="globex"), "spring", NOW) is None


def test_two_sites_of_a_provider_share_its_limit(cast: Cast) -> None:
    slow("google", 1, "provider")
    waiting(cast, 10, "a.test", "aspmx.l.google.com")
    waiting(cast, 10, "b.test", "mx.google.com")
    found = told(cast)
    assert [line.reach for line in found.lines] == ["google"]
    assert after(found.done_at) == pytest.approx(20, abs=0.01)


def test_a_domain_that_nobody_looked_up_is_told(cast: Cast) -> None:
    waiting(cast, 3, site="")
    found = told(cast)
    assert (found.lines[0].reach, found.lines[0].known) == ("x.test", False)
    assert any("looked up" in line for line in found.assumptions)
    assert found.done_at is not None


def cold_pool(cast: Cast, **schedule: Any) -> Source:
    source = warming_source(stages=(10, 20, 40), spread_hours=0, **schedule)
    Stream.objects.update(pool=Pool.objects.get(name="cold"))
    return source


def test_warmup_lets_a_stage_go_each_day(cast: Cast) -> None:
    cold_pool(cast)
    waiting(cast, 31)
    found = told(cast)
    # 10 today, 20 tomorrow, 1 on the day after; or 10, 10, 10, 1.
    assert 1.5 * DAY < after(found.done_at) < 1.5 * DAY + 60
    assert 2.5 * DAY < after(found.latest_at) < 2.5 * DAY + 60
    assert found.limited_by == "warmup"


def test_what_is_used_of_today_is_gone(cast: Cast) -> None:
    source = cold_pool(cast)
    state(source, "mx.x.test", stage=2)
    wiring.limits().take(15, counters=[warmup_counter("cold", "mx.x.test", 20, NOW)])
    waiting(cast, 6)
    assert DAY / 2 < after(told(cast).done_at) < DAY / 2 + 60


def test_an_overflow_pool_takes_the_rest(cast: Cast) -> None:
    cold_pool(cast)
    warm = Pool.objects.create(name="warm")
    PoolMember.objects.create(pool=warm, source=cast.source)
    Pool.objects.filter(name="cold").update(overflow=warm)
    slow()
    waiting(cast, 40)
    # Both send one in two seconds: 10 each in 20 s, then the warm one alone.
    assert after(told(cast).done_at) == pytest.approx(60, abs=0.1)


@pytest.mark.parametrize(
    ("scope", "key", "said"),
    [
        ("tenant", "acme", "the tenant is suspended"),
        ("campaign", "acme/spring", "the campaign is suspended"),
        ("site", "x.test", "the site is suspended"),
        ("source", "acme-source", "no source may send"),
    ],
)
def test_what_is_suspended_has_no_end(cast: Cast, scope: str, key: str, said: str) -> None:
    Suspension.objects.create(scope=scope, key=key)
    waiting(cast, 3)
    found = told(cast)
    assert (found.done_at, found.latest_at, found.limited_by) == (None, None, said)


def test_a_retry_waits_for_its_time(cast: Cast) -> None:
    waiting(cast, 3)
    late = NOW + timedelta(hours=2)
    Recipient.objects.filter(address="r0@x.test").update(state="deferred", next_attempt_at=late)
    found = told(cast)
    assert (found.done_at, found.limited_by) == (late, "retries")


def test_the_tenant_and_its_stream_have_rates_of_their_own(cast: Cast) -> None:
    Stream.objects.update(messages_per_hour=3600)
    waiting(cast, 20)
    assert told(cast).limited_by == "stream transactional"
    Tenant.objects.update(quota_per_hour=360, quota_action="delay")
    cast.tenant.refresh_from_db()
    found = told(cast)
    assert found.limited_by == "quota of tenant acme"
    assert after(found.done_at) == pytest.approx(200, abs=0.01)


def test_a_receiver_that_slows_us_down_counts(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting(cast, 10)
    slowed = {("acme-source", "mx.x.test", ""): Throttled(rate=0.1)}
    monkeypatch.setattr(forecast_sources, "throttled", lambda paths: slowed)
    found = told(cast)
    assert (found.limited_by, round(after(found.done_at))) == ("throttle", 100)


def test_without_redis_it_says_what_it_does_not_know(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(_: object) -> None:
        raise redis.ConnectionError

    waiting(cast, 3)
    monkeypatch.setattr(forecast_sources, "throttled", silent)
    assert any("Redis is silent" in line for line in told(cast).assumptions)


def test_one_query_counts_however_many_wait(cast: Cast, django_assert_max_num_queries: Any) -> None:
    for number in range(30):
        waiting(cast, 2, f"d{number}.test", f"mx.d{number}.test")
    told(cast)
    sources.forget()
    with django_assert_max_num_queries(12):
        forecast(cast.tenant, "spring", NOW)


def test_the_count_begins_at_the_campaigns_index(cast: Cast) -> None:
    waiting(cast, 1)
    if connection.vendor == "postgresql":  # an empty table is read as a whole, whatever there is
        connection.cursor().execute("SET LOCAL enable_seqscan TO OFF")
    told = connection.cursor()
    word = "EXPLAIN QUERY PLAN " if connection.vendor == "sqlite" else "EXPLAIN "
    told.execute(word + COUNTED, [cast.tenant.pk, "spring"])
    assert "message_campaign" in str(told.fetchall())
