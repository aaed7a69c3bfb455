"""Recipients that a tenant may hand in per hour and per day.

Counted in Redis in calendar hours and days (UTC). When Redis is away mail is taken: a quota
protects from mistakes, and refusing everybody would be the greater one.
"""

from __future__ import annotations

import logging
from datetime import datetime

import redis

from mta import wiring
from mta.api.problems import Problem
from mta.limits.egress import Counter
from mta.tenants.models import Tenant

log = logging.getLogger(__name__)
HOUR, DAY = 3600, 86400


def counters(tenant: Tenant, now: datetime) -> list[Counter]:
    """One counter per limit that the tenant has."""
    found = []
    if tenant.quota_per_hour is not None:
        key = f"quota:{tenant.pk}:{now:%Y%m%d%H}"
        found.append(Counter(key, tenant.quota_per_hour, 2 * HOUR))
    if tenant.quota_per_day is not None:
        found.append(Counter(f"quota:{tenant.pk}:{now:%Y%m%d}", tenant.quota_per_day, 2 * DAY))
    return found


def take(tenant: Tenant, count: int, now: datetime) -> list[Counter]:
    """Count `count` recipients; Problem 429 when they do not all fit. Returns what to give back."""
    wanted = counters(tenant, now)
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
    hourly = grant.limited_by.rpartition(":")[2] == f"{now:%Y%m%d%H}"
    quota, span = (tenant.quota_per_hour, "hour") if hourly else (tenant.quota_per_day, "day")
    wait = HOUR - now.minute * 60 - now.second
    if not hourly:
        wait += (23 - now.hour) * HOUR
    raise Problem(
        "quota-exceeded",
        f"The tenant may hand in {quota} recipients per {span}; {count} more do not fit. "
        f"Try again in {wait} s, send fewer, or ask the operator for more.",
        headers={"Retry-After": str(wait)},
    )


def give_back(taken: list[Counter], count: int) -> None:
    """Uncount what was not stored after all."""
    if not taken:
        return
    try:
        wiring.limits().give_back(count, counters=taken)
    except redis.RedisError as error:
        log.warning("quota not given back (%s)", type(error).__name__)
