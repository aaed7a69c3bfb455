"""The sources of a pool as delivery would find them now: state, warmup, throttle, what is used."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import redis

from dashboard.explain_use import UseTold, Whose, uses_told
from mta import wiring
from mta.delivery.choose import Way, rooms
from mta.delivery.shaping import limits_of_path
from mta.delivery.throttle import throttled
from mta.delivery.ways import MOST_OVERFLOWS, Plan, start_of, today, way_of
from mta.egress.sources import Snapshot, SourceFacts, read_suspensions
from mta.egress.warmup import allowance
from mta.limits.egress import Room
from mta.policy.throttled import Throttled
from mta.spool.streams import stream_facts
from mta.storage.fields import from_ms, now_ms


@dataclass(frozen=True, slots=True)
class ThrottleTold:
    """What replies have done to the path from this source."""

    reason: str
    #: Nothing goes before; empty when it may.
    until: datetime | None
    #: Whether other sources of the pool take over.
    blocked: bool
    #: Messages a second; 0: no cap of its own.
    rate: float
    #: 0: no cap of its own.
    connections: int


@dataclass(frozen=True, slots=True)
class SourceTold:
    """One source; what Redis keeps is None or empty when it does not answer."""

    pool: str
    name: str
    address: str
    ehlo_name: str
    weight: int
    status: str
    suspended: bool
    #: The site of the address, or the smart host that the source leads to.
    site: str
    #: Stage of the warmup, 1 is the first; None when warm.
    warmup_stage: int | None
    warmup_status: str
    #: Messages today to this provider, or site without one; None when warm.
    cap: int | None
    used: int | None
    remaining: int | None
    throttle: ThrottleTold | None
    #: Messages that may go now under all limits; None when nothing limits, or nobody knows.
    free: int | None
    #: Seconds until one may; None when nobody knows.
    retry_in: float | None
    uses: tuple[UseTold, ...]
    #: Limits that are different from this source: name -> (value, rule).
    own_limits: dict[str, tuple[int | float | str, str]]


def sources_told(plan: Plan, egress: Snapshot) -> tuple[SourceTold, ...]:
    """Sources of the plan's pool, then of the pools that it overflows into."""
    suspended = {key for scope, key in read_suspensions() if scope == "source"}
    pool = plan.pool
    found: list[SourceTold] = []
    for _ in range(MOST_OVERFLOWS):
        if pool is None:
            break
        found += [
            source_told(pool.name, plan, source, weight, source.name in suspended)
            for source, weight in pool.members
        ]
        pool = egress.pools.get(pool.overflow_id or 0)
    return tuple(found)


def source_told(
    pool: str, plan: Plan, source: SourceFacts, weight: int, suspended: bool
) -> SourceTold:
    way, room, uses, used = used_now(plan, source, weight)
    common = limits_of_path(way.site, [host.name for host in way.found.hosts])
    reach = way.explained.provider or way.site
    warmup = allowance(source, reach, today().date())
    return SourceTold(
        pool=pool,
        name=source.name,
        address=source.address,
        ehlo_name=source.ehlo_name or wiring.config().hostname,
        weight=weight,
        status=source.status,
        suspended=suspended,
        site=way.site,
        warmup_stage=warmup.stage if warmup else None,
        warmup_status=warmup.status if warmup else "warm",
        cap=warmup.cap if warmup else None,
        used=used,
        remaining=None if warmup is None or used is None else max(0, warmup.cap - used),
        throttle=throttle_told(way.throttled),
        free=room.free if room else None,
        retry_in=room.retry_in if room else None,
        uses=uses,
        own_limits={
            name: (getattr(way.explained.limits, name), rule)
            for name, rule in way.explained.origin.items()
            if rule != common.origin[name]
        },
    )


def used_now(
    plan: Plan, source: SourceFacts, weight: int
) -> tuple[Way, Room | None, tuple[UseTold, ...], int | None]:
    """The way from the source, what its limits have room for, and messages of its warmup today.

    Nothing but the way is known without Redis.
    """
    start = start_of(plan, source)
    _, site, provider = start
    try:
        slowed = throttled([(source.name, site, provider)])
        way = way_of(plan, source, weight, start, slowed)
        (room,) = rooms([way])
        uses = uses_told(way.limits, way.explained, whose(plan, way))
        warmup = [one for one in way.limits.counters if one.key.startswith("warmup:")]
        return way, room, uses, next(iter(wiring.limits().used(warmup)), None)
    except redis.RedisError:
        return way_of(plan, source, weight, start, {}), None, (), None


def whose(plan: Plan, way: Way) -> Whose:
    stream = stream_facts(plan.batch.stream_id)
    return Whose(
        source=way.source.name,
        site=way.site,
        provider=way.explained.provider,
        stream=stream.name,
        tenant=stream.tenant_name,
        throttle=f"replies: {way.throttled.reason}" if way.throttled else "",
    )


def throttle_told(held: Throttled | None) -> ThrottleTold | None:
    if held is None:
        return None
    until = from_ms(held.until) if held.until > now_ms() else None
    return ThrottleTold(held.reason, until, held.blocked, held.rate, held.connections)
