"""Quotas: who is counted where and in which period, and that what is refused is not counted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import redis

from mta import wiring
from mta.spool import quota
from mta.spool.quota import OverQuota
from tests.cast import Cast

NOON = datetime(2026, 3, 1, 12, 59, 30, tzinfo=UTC)


@pytest.fixture
def counting(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    client = redis.Redis.from_url(redis_url)
    client.flushall()
    monkeypatch.setattr(wiring, "redis_client", lambda: client)
    wiring.limits.cache_clear()
    yield
    wiring.limits.cache_clear()
    client.close()


def set_quota(cast: Cast, **values: object) -> int:
    type(cast.tenant).objects.filter(pk=cast.tenant.pk).update(**values)
    quota._known.clear()
    return int(cast.tenant.pk)


def test_a_tenant_without_quota_has_no_counters(cast: Cast) -> None:
    assert quota.quota_counters(cast.tenant.pk, NOON) == []
    assert quota.take(cast.tenant.pk, 1_000_000, NOON) == []
    assert quota.quota_counters(987_654, NOON) == []


def test_excess_that_waits_is_counted_where_mail_leaves(cast: Cast) -> None:
    tenant = set_quota(cast, quota_per_hour=5, quota_per_day=50, quota_action="delay")
    hour, day = quota.quota_counters(tenant, NOON)
    assert (hour.limit, day.limit) == (5, 50)
    # They know when their periods end, and outlive them.
    assert hour.ends_at == NOON.timestamp() * 1000 + 30_000
    assert day.ends_at == NOON.timestamp() * 1000 + (11 * 3600 + 30) * 1000
    assert (hour.ttl, day.ttl) == (2 * 3600, 2 * 86_400)
    later = quota.quota_counters(tenant, NOON.replace(hour=13, minute=0))
    assert later[0].key != hour.key
    assert later[1].key == day.key
    assert quota.take(tenant, 1_000, NOON) == []


@pytest.mark.usefixtures("counting")
@pytest.mark.parametrize(("span", "wait"), [("hour", 30), ("day", 11 * 3600 + 30)])
def test_excess_that_is_refused_is_counted_at_the_doors(cast: Cast, span: str, wait: int) -> None:
    tenant = set_quota(cast, **{f"quota_per_{span}": 3}, quota_action="reject")
    assert quota.quota_counters(tenant, NOON) == []
    quota.take(tenant, 2, NOON)
    with pytest.raises(OverQuota) as over:
        quota.take(tenant, 2, NOON)
    assert (over.value.most, over.value.span, over.value.retry_in) == (3, span, wait)
    taken = quota.take(tenant, 1, NOON)
    with pytest.raises(OverQuota):
        quota.take(tenant, 1, NOON)
    quota.give_back(taken, 1)
    quota.take(tenant, 1, NOON)


@pytest.mark.usefixtures("counting")
def test_the_next_hour_begins_anew(cast: Cast) -> None:
    tenant = set_quota(cast, quota_per_hour=1, quota_action="reject")
    quota.take(tenant, 1, NOON)
    assert quota.take(tenant, 1, NOON.replace(hour=13, minute=0, second=0))
