"""The sources of a pool as delivery would find them now: state, warmup, throttle, what is used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import redis

from dashboard.explain_use import UseTold, Whose, uses_told
from mta import wiring
from mta.delivery.batch import Batch
from mta.delivery.path_limits import PathLimits, path_limits
from mta.delivery.route import MOST_OVERFLOWS, today
from mta.delivery.shaping import limits_of_path
from mta.delivery.throttle import throttled
from mta.egress.sources import PoolFacts, SourceFacts, read_suspensions
from mta.egress.warmup import Allowance, allowance
from mta.limits.egress import Room
from mta.policy.shaping import Explained
from mta.policy.throttled import Throttled
from mta.spool.streams import StreamFacts
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


@dataclass(frozen=True, slots=True)
class Asked:
    """The path that is asked about, but for its source."""

    stream: StreamFacts
    domain: str
    site: str
    provider: str
    hosts: tuple[str, ...]

    def batch(self) -> Batch:
        """One recipient that does not exist."""
        return Batch(
            token=0, lane_id=0, tenant_id=self.stream.tenant_id, stream_id=self.stream.id,
            domain=self.domain, recipient_ids=(0,), claimed_at=now_ms(),
        )  # fmt: skip


def sources_told(
    pools: Mapping[int, PoolFacts], pool_id: int, asked: Asked
) -> tuple[SourceTold, ...]:
    """Sources of the pool, then of the pools that it overflows into."""
    suspended = {key for scope, key in read_suspensions() if scope == "source"}
    pool = pools.get(pool_id)
    found: list[SourceTold] = []
    for _ in range(MOST_OVERFLOWS):
        if pool is None:
            break
        found += [
            source_told(pool.name, source, weight, asked, source.name in suspended)
            for source, weight in pool.members
        ]
        pool = pools.get(pool.overflow_id or 0)
    return tuple(found)


def source_told(
    pool: str, source: SourceFacts, weight: int, asked: Asked, suspended: bool
) -> SourceTold:
    common = limits_of_path(asked.site, asked.hosts)
    own = limits_of_path(asked.site, asked.hosts, source.name)
    warmup = allowance(source, asked.provider or asked.site, today().date())
    held, limits, room, uses = used_now(source, asked, own, warmup)
    used = used_today(limits) if warmup and room else None
    return SourceTold(
        pool=pool,
        name=source.name,
        address=source.address,
        ehlo_name=source.ehlo_name or wiring.config().hostname,
        weight=weight,
        status=source.status,
        suspended=suspended,
        warmup_stage=warmup.stage if warmup else None,
        warmup_status=warmup.status if warmup else "warm",
        cap=warmup.cap if warmup else None,
        used=used,
        remaining=None if warmup is None or used is None else max(0, warmup.cap - used),
        throttle=throttle_told(held),
        free=room.free if room else None,
        retry_in=room.retry_in if room else None,
        uses=uses,
        own_limits={
            name: (getattr(own.limits, name), rule)
            for name, rule in own.origin.items()
            if rule != common.origin[name]
        },
    )


def used_now(
    source: SourceFacts, asked: Asked, own: Explained, warmup: Allowance | None
) -> tuple[Throttled | None, PathLimits, Room | None, tuple[UseTold, ...]]:
    """What replies have done, all limits, and what they have room for; None without Redis."""
    path = (source.name, asked.site, asked.provider)
    batch, stream, now = asked.batch(), asked.stream, today()
    try:
        held = throttled([path]).get(path)
        limits = path_limits(batch, stream, source, asked.site, own, warmup, held, now)
        (room,) = wiring.limits().room([(limits.buckets, limits.counters)])
        return held, limits, room, uses_told(limits, own, whose(source, asked, warmup, held))
    except redis.RedisError:
        limits = path_limits(batch, stream, source, asked.site, own, warmup, None, now)
        return None, limits, None, ()


def whose(
    source: SourceFacts, asked: Asked, warmup: Allowance | None, held: Throttled | None
) -> Whose:
    return Whose(
        source=source.name,
        site=asked.site,
        provider=asked.provider,
        stream=asked.stream.name,
        tenant=asked.stream.tenant_name,
        warmup=f"warmup stage {warmup.stage}" if warmup else "",
        throttle=f"replies: {held.reason}" if held else "",
    )


def used_today(limits: PathLimits) -> int | None:
    """Messages counted under the day's warmup; None when Redis does not answer."""
    counters = [one for one in limits.counters if one.key.startswith("warmup:")]
    try:
        return next(iter(wiring.limits().used(counters)), None)
    except redis.RedisError:
        return None


def throttle_told(held: Throttled | None) -> ThrottleTold | None:
    if held is None:
        return None
    until = from_ms(held.until) if held.until > now_ms() else None
    return ThrottleTold(held.reason, until, held.blocked, held.rate, held.connections)
