"""The sources of a pool as delivery would find them now: state, warmup, rate and connections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import redis

from mta import wiring
from mta.delivery.path_limits import warmup_counter
from mta.delivery.route import MOST_OVERFLOWS, today
from mta.delivery.shaping import rules
from mta.egress.sources import PoolFacts, SourceFacts, read_suspensions
from mta.limits.egress import Bucket
from mta.policy.shaping import EgressLimits, limits_for


@dataclass(frozen=True, slots=True)
class SourceTold:
    """One source; figures that Redis keeps are None when it does not answer."""

    pool: str
    name: str
    address: str
    ehlo_name: str
    weight: int
    status: str
    suspended: bool
    #: Day of the warmup schedule, 1 is the first; None when warm.
    warmup_day: int | None
    #: Messages a day to this provider; None when warm.
    cap: int | None
    used: int | None
    remaining: int | None
    connections: int
    connections_used: int | None
    messages_per_second: float
    #: Seconds until the rate lets one message through.
    retry_in: float | None
    #: Limits that are different from this source: name -> (value, rule).
    own_limits: dict[str, tuple[int | float | str, str]]


def sources_told(
    pools: Mapping[int, PoolFacts], pool_id: int, site: str, mx_hosts: Sequence[str]
) -> tuple[SourceTold, ...]:
    """Sources of the pool, then of the pools that it overflows into."""
    suspended = {key for scope, key in read_suspensions() if scope == "source"}
    pool = pools.get(pool_id)
    found: list[SourceTold] = []
    for _ in range(MOST_OVERFLOWS):
        if pool is None:
            break
        found += [
            source_told(pool.name, source, weight, site, mx_hosts, source.name in suspended)
            for source, weight in pool.members
        ]
        pool = pools.get(pool.overflow_id or 0)
    return tuple(found)


def source_told(
    pool: str,
    source: SourceFacts,
    weight: int,
    site: str,
    mx_hosts: Sequence[str],
    suspended: bool,
) -> SourceTold:
    common = limits_for(rules(), site=site, mx_hosts=mx_hosts)
    own = limits_for(rules(), site=site, mx_hosts=mx_hosts, source=source.name)
    cap = source.cap(today().date())
    day = None
    if cap is not None and source.warmup_started_on is not None:
        day = (today().date() - source.warmup_started_on).days + 1
    used = used_today(source, own.provider or site, cap)
    retry_in, connections_used = path_use(source.name, site, own.limits)
    return SourceTold(
        pool=pool,
        name=source.name,
        address=source.address,
        ehlo_name=source.ehlo_name or wiring.config().hostname,
        weight=weight,
        status=source.status,
        suspended=suspended,
        warmup_day=day,
        cap=cap,
        used=used,
        remaining=None if cap is None or used is None else max(0, cap - used),
        connections=own.limits.connections,
        connections_used=connections_used,
        messages_per_second=own.limits.messages_per_second,
        retry_in=retry_in,
        own_limits={
            name: (getattr(own.limits, name), rule)
            for name, rule in own.origin.items()
            if rule != common.origin[name]
        },
    )


def used_today(source: SourceFacts, reach: str, cap: int | None) -> int | None:
    """Messages that the source sent to the provider (or site) today; None when not known."""
    if cap is None:
        return None
    try:
        (used,) = wiring.limits().used(
            [warmup_counter(source.name, reach, cap, today())]
        )
    except redis.RedisError:
        return None
    return used


def path_use(source: str, site: str, limits: EgressLimits) -> tuple[float | None, int | None]:
    """(seconds until the rate admits a message, connections in use); None when not known."""
    try:
        held = wiring.limits().held(f"connections:{source}:{site}")
        if not limits.messages_per_second:
            return 0.0, held
        rate = [Bucket(f"rate:{source}:{site}", limits.messages_per_second, limits.burst)]
        grant = wiring.limits().take(1, buckets=rate)
        wiring.limits().give_back(grant.granted, buckets=rate)
    except redis.RedisError:
        return None, None
    return (0.0 if grant.granted else grant.retry_in), held
