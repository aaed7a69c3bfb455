"""Recipients that a tenant may send per hour and per day (calendar hours and days, UTC).

Rule 1: a tenant whose excess waits (`delay`) is counted where mail leaves: deliver takes its
        counters with all other limits. One whose excess is refused is counted at the doors.
Rule 2: the doors count what they store: all recipients of a message, or none of them.
Rule 3: when Redis is away mail is taken. A quota protects from mistakes, and refusing everybody
        would be the greater one.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

import redis

from mta import wiring
from mta.limits.egress import Counter
from mta.storage.fields import to_ms
from mta.tenants.models import QuotaAction, Tenant

log = logging.getLogger(__name__)
#: A change in the admin acts within this many seconds.
KEEP_SECONDS = 3.0
HOUR, DAY = 3600, 86_400


@dataclass(frozen=True, slots=True)
class Quota:
    """What one tenant may send; None is without limit."""

    per_hour: int | None
    per_day: int | None
    delays: bool


NOBODY = Quota(None, None, delays=True)


class OverQuota(Exception):
    """The recipients do not all fit; nothing was counted."""

    def __init__(self, most: int, span: str, count: int, retry_in: int) -> None:
        super().__init__(
            f"The tenant may hand in {most} recipients per {span}; {count} more do not fit."
        )
        self.most, self.span, self.count = most, span, count
        #: Seconds until the next hour or day begins.
        self.retry_in = retry_in


_known: dict[int, tuple[float, Quota]] = {}


def quota_of(tenant_id: int) -> Quota:
    """The tenant's quota, at most KEEP_SECONDS old."""
    found = _known.get(tenant_id)
    if found is not None and found[0] > time.monotonic():
        return found[1]
    row = (
        Tenant.objects.filter(pk=tenant_id)
        .values_list("quota_per_hour", "quota_per_day", "quota_action")
        .first()
    )
    quota = Quota(row[0], row[1], row[2] == QuotaAction.DELAY) if row else NOBODY
    _known[tenant_id] = (time.monotonic() + KEEP_SECONDS, quota)
    return quota


def quota_counters(tenant_id: int, now: datetime) -> list[Counter]:
    """What mail that leaves is counted under; [] unless the tenant's excess waits."""
    quota = quota_of(tenant_id)
    return counters(tenant_id, quota, now, "sent") if quota.delays else []


def refuses(tenant_id: int) -> bool:
    """Whether the doors have to count what the tenant hands in."""
    quota = quota_of(tenant_id)
    return not quota.delays and (quota.per_hour is not None or quota.per_day is not None)


def counters(tenant_id: int, quota: Quota, now: datetime, kind: str) -> list[Counter]:
    """One counter per limit that the tenant has; each knows when its period ends."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    wanted = (
        (quota.per_hour, f"{now:%Y%m%d%H}", HOUR, hour),
        (quota.per_day, f"{now:%Y%m%d}", DAY, hour.replace(hour=0)),
    )
    return [
        # A count outlives its period: a batch that was resolved just before the end finds it full.
        Counter(f"quota:{kind}:{tenant_id}:{name}", most, 2 * span,
                ends_at=to_ms(begun + timedelta(seconds=span)))
        for most, name, span, begun in wanted
        if most is not None
    ]  # fmt: skip


def take(tenant_id: int, count: int, now: datetime) -> list[Counter]:
    """Count recipients that come in; OverQuota when they do not all fit.

    Returns what to give back, [] for a tenant that nobody refuses.
    """
    quota = quota_of(tenant_id)
    wanted = [] if quota.delays else counters(tenant_id, quota, now, "taken")
    if not wanted:
        return []
    try:
        grant = wiring.limits().take(count, counters=wanted)
        if grant.granted == count:
            return wanted
        wiring.limits().give_back(grant.granted, counters=wanted)
    except redis.RedisError as error:
        log.warning("quota not counted (%s); the mail is taken", type(error).__name__)
        return []
    full = next(one for one in wanted if one.key == grant.limited_by)
    span = "hour" if full.ttl == 2 * HOUR else "day"
    raise OverQuota(full.limit, span, count, max(1, (full.ends_at - to_ms(now)) // 1000))


def give_back(taken: list[Counter], count: int) -> None:
    """Uncount what was not stored after all."""
    if not taken:
        return
    try:
        wiring.limits().give_back(count, counters=taken)
    except redis.RedisError as error:
        log.warning("quota not given back (%s)", type(error).__name__)
