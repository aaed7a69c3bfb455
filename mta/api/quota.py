"""A tenant's quota as a caller of the API hears of it."""

from __future__ import annotations

from datetime import datetime

from mta.api.problems import Problem
from mta.limits.egress import Counter
from mta.spool import quota
from mta.spool.quota import OverQuota


def take(tenant_id: int, count: int, now: datetime) -> list[Counter]:
    """Count `count` recipients; Problem 429 when they do not all fit. Returns what to give back."""
    try:
        return quota.take(tenant_id, count, now)
    except OverQuota as over:
        raise Problem(
            "quota-exceeded",
            f"{over} Try again in {over.retry_in} s, send fewer, or ask the operator for more.",
            headers={"Retry-After": str(over.retry_in)},
        ) from None
