"""The sources that a pool's mail can leave from, each with the rate and cap that hold on its way.

A provider's own limit holds over all its sites together; a site's limit for that site alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from mta import wiring
from mta.delivery.path_limits import warmup_counter
from mta.delivery.shaping import rules
from mta.delivery.throttle import throttled
from mta.egress.models import WarmupSchedule
from mta.egress.sources import PoolFacts, Snapshot, SourceFacts
from mta.egress.warmup import Allowance, allowance
from mta.limits.egress import Counter
from mta.policy.forecast import SourceRate, Warming
from mta.policy.shaping import Explained, limits_for
from mta.policy.throttled import Throttled

#: Messages a second that one connection is assumed to carry.
PER_CONNECTION = 5.0
#: Pools that overflow into one another are followed this far.
MOST_POOLS = 5

#: (source name, site, provider)
PathKey = tuple[str, str, str]


@dataclass(slots=True)
class Live:
    """What Redis knows: states that replies left, and what is used of today's warmup."""

    throttles: Mapping[PathKey, Throttled] = field(default_factory=dict)
    used: Mapping[tuple[str, str], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Way:
    """Where some mail goes: its pool, its reach, and the sites of it."""

    pool_id: int
    reach: str
    provider: str
    sites: tuple[str, ...]


def read_live(ways: Sequence[Way], egress: Snapshot, now: datetime) -> Live:
    """Two questions to Redis, however many ways; raises redis.RedisError."""
    paths: set[PathKey] = set()
    caps: dict[tuple[str, str], Counter] = {}
    for way in ways:
        for pool in pools(egress, way.pool_id):
            for source in able(pool, egress):
                paths |= {(source.name, site, way.provider) for site in way.sites}
                given = allowance(source, way.reach, now.date())
                if given is not None:
                    key = source.name, way.reach
                    caps[key] = warmup_counter(*key, given.cap, now)
    used = wiring.limits().used(list(caps.values())) if caps else []
    return Live(throttled(sorted(paths)), dict(zip(caps, used, strict=True)))


def source_rates(
    way: Way, egress: Snapshot, live: Live, shares: Mapping[str, float], now: datetime
) -> tuple[SourceRate, ...]:
    """The sources of the way's pool; of its overflow pools too, where all of it warm up.

    `shares` are the parts of a stage that must be sent, by source name.
    """
    found: list[SourceRate] = []
    for pool in pools(egress, way.pool_id):
        here = [source_rate(way, source, live, shares, now) for source in able(pool, egress)]
        found += here
        if any(one.warming is None for one in here):
            break
    return tuple(found)


def pools(egress: Snapshot, pool_id: int) -> list[PoolFacts]:
    """The pool and those that it overflows into."""
    found: list[PoolFacts] = []
    pool = egress.pools.get(pool_id)
    while pool is not None and pool not in found and len(found) < MOST_POOLS:
        found.append(pool)
        pool = egress.pools.get(pool.overflow_id or 0)
    return found


def able(pool: PoolFacts, egress: Snapshot) -> list[SourceFacts]:
    return [
        source for source, _ in pool.members
        if source.status == "active" and not egress.is_suspended("source", source.name)
    ]  # fmt: skip


def source_rate(
    way: Way, source: SourceFacts, live: Live, shares: Mapping[str, float], now: datetime
) -> SourceRate:
    """The long-run rate of one source, the name of the limit that sets it, and its warmup."""
    alone: list[tuple[float, str]] = []
    across: list[tuple[float, str]] = []
    for site in way.sites:
        explained = limits_for(rules(), site=site, mx_hosts=[site], source=source.name)
        here, shared = site_rates(explained)
        state = live.throttles.get((source.name, site, way.provider))
        if state is not None and state.rate:
            here.append((state.rate, "throttle"))
        alone.append(min(here))
        across += shared
    total = sum(rate for rate, _ in alone)
    limits = [(total, min(alone)[1]), *across]
    limits += [(count / seconds, f"source {source.name}") for count, seconds in source.rates]
    rate, name = min(limits)
    given = allowance(source, way.reach, now.date())
    warming = warming_of(source, given, live.used.get((source.name, way.reach), 0), shares)
    return SourceRate(source.name, rate, name, warming)


def site_rates(explained: Explained) -> tuple[list[tuple[float, str]], list[tuple[float, str]]]:
    """(rates of the site alone, rates across the provider's sites), with their names."""
    here = [(explained.limits.connections * PER_CONNECTION, "connections")]
    shared: list[tuple[float, str]] = []
    for rate in explained.rates():
        (shared if rate.across else here).append((rate.per_second, rate.name))
    if most := explained.across.get("connections", (0, ""))[0]:
        shared.append((most * PER_CONNECTION, "connections"))
    return here, shared


def warming_of(
    source: SourceFacts, given: Allowance | None, used: int, shares: Mapping[str, float]
) -> Warming | None:
    if given is None:
        return None
    first, day = source.warmup_started_on, date.fromisoformat(given.day)
    return Warming(
        source.stages, max(given.stage, 1), used, source.spread_hours,
        held=given.status == "held",
        begins_in=max(0, (first - day).days) if first else 0,
        share=shares.get(source.name, 0.9),
    )  # fmt: skip


def needed_shares() -> dict[str, float]:
    """Parts of a stage that must be sent before the next, by source name."""
    rows = WarmupSchedule.objects.filter(sources__isnull=False)
    return dict(rows.values_list("sources__name", "min_sent_share"))
