"""The ways that batches may go: each source of their pools with everything that holds there.

Rule 1: overflow pools are asked in turn, all batches of a convoy together.
Rule 2: what a warming source has left is promised once a convoy, to engaged recipients first; who
        finds it promised looks again in a moment, since a promise may not be used.
Rule 3: a smart host is a site of its own, wherever the mail is for; that it cannot be found is our
        trouble, and mail waits.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime

from mta import wiring
from mta.delivery.batch import Batch, Path
from mta.delivery.choose import LOOK_AGAIN_MS, Taken, Wait, Way, decide, rooms
from mta.delivery.network import smart_route
from mta.delivery.path_limits import path_limits
from mta.delivery.shaping import limits_of_path
from mta.delivery.smart_hosts import smart_host
from mta.delivery.throttle import PathKey, throttled
from mta.egress.models import SourceKind
from mta.egress.sources import PoolFacts, Snapshot, SourceFacts
from mta.egress.warmup import allowance
from mta.limits.egress import Bucket, Room
from mta.net.dns import ResolveError, Route
from mta.net.smtp_envelope import Timeouts
from mta.policy.throttled import Throttled
from mta.spool import waiting
from mta.spool.streams import stream_facts
from mta.storage.fields import now_ms

#: When mail looks again that found all promised to others of its convoy, milliseconds.
PROMISED_MS = 1000
#: How often a pool is asked to overflow into the next one.
MOST_OVERFLOWS = 5


@dataclass(slots=True)
class Plan:
    """A batch whose way is looked for."""

    batch: Batch
    #: Recipients without an outcome.
    waiting: list[int]
    site: str
    provider: str
    found: Route
    pool: PoolFacts | None
    #: The only source that may take it; 0: those of the pool.
    source_id: int = 0
    #: The first reason to wait that was met; overflow pools do not change it.
    wait: Wait | None = None


def today() -> datetime:
    return datetime.now(UTC)


def ways_for(
    plans: Sequence[Plan], egress: Snapshot, rng: random.Random
) -> list[tuple[Plan, Taken | Wait]]:
    """For each plan the way it goes, or why it waits. Raises redis.RedisError."""
    ends: list[tuple[Plan, Taken | Wait]] = []
    asked = sorted(plans, key=lambda plan: not plan.batch.engaged)
    for turn in range(MOST_OVERFLOWS):
        further = []
        for plan, end in one_turn(asked, egress, rng):
            overflow = overflow_of(plan, egress)
            if isinstance(end, Taken):
                ends.append((plan, end))
                continue
            plan.wait = plan.wait or end
            if end.overflows and overflow is not None and turn < MOST_OVERFLOWS - 1:
                plan.pool = overflow
                further.append(plan)
            else:
                ends.append((plan, plan.wait))
        asked = further
        if not asked:
            break
    return ends


def overflow_of(plan: Plan, egress: Snapshot) -> PoolFacts | None:
    if plan.pool is None or plan.source_id:
        return None
    return egress.pools.get(plan.pool.overflow_id or 0)


def one_turn(
    plans: Sequence[Plan], egress: Snapshot, rng: random.Random
) -> list[tuple[Plan, Taken | Wait]]:
    """One pool for each plan: one question about replies, one about limits."""
    members = [(plan, members_of(plan, egress)) for plan in plans]
    starts = [
        [start_of(plan, source) for source, _ in few] for plan, few in members
    ]  # fmt: skip
    keys = {
        (source.name, site, provider)
        for (_, few), there in zip(members, starts, strict=True)
        for (source, _), (_, site, provider) in zip(few, there, strict=True)
    }
    slowed = throttled(list(keys)) if keys else {}
    ways = [
        [way_of(plan, *member, start, slowed) for member, start in zip(few, there, strict=True)]
        for (plan, few), there in zip(members, starts, strict=True)
    ]
    room = iter(rooms([way for few in ways for way in few]))
    promised: Counter[str] = Counter()
    return [
        (plan, promised_end(plan, [(way, next(room)) for way in few], promised, rng))
        for plan, few in zip(plans, ways, strict=True)
    ]


def promised_end(
    plan: Plan, pairs: Sequence[tuple[Way, Room]], promised: Counter[str], rng: random.Random
) -> Taken | Wait:
    """How it ends with what batches before it have left of warmups; counts what it takes."""
    left = [(way, unpromised(room, promised)) for way, room in pairs]
    end = end_of(plan, left, rng)
    if isinstance(end, Taken):
        taken = len(plan.waiting) if end.free is None else min(end.free, len(plan.waiting))
        promised.update(dict.fromkeys(end.way.limits.warmup_keys(), taken))
    if all(mine == there for (_, mine), (_, there) in zip(left, pairs, strict=True)):
        return end
    wait = end.wait if isinstance(end, Taken) else end
    wait = replace(wait, until=min(wait.until, now_ms() + PROMISED_MS), gate="")
    return replace(end, wait=wait) if isinstance(end, Taken) else wait


def unpromised(room: Room, promised: Counter[str]) -> Room:
    if not room.free or not promised[room.tightest]:
        return room
    return replace(room, free=max(0, room.free - promised[room.tightest]))


def end_of(plan: Plan, pairs: Sequence[tuple[Way, Room]], rng: random.Random) -> Taken | Wait:
    pool = plan.pool.name if plan.pool else "?"
    if not pairs:
        return Wait(
            now_ms() + LOOK_AGAIN_MS, f"no active source in pool {pool}",
            waiting.suspended("pool", pool), overflows=True,
        )  # fmt: skip
    return decide(plan.batch, plan.pool, pairs, len(plan.waiting), rng)


def members_of(plan: Plan, egress: Snapshot) -> list[tuple[SourceFacts, int]]:
    """The sources that may be used at all, with their weights."""
    members: Sequence[tuple[SourceFacts, int]] = plan.pool.members if plan.pool else ()
    if plan.source_id:
        only = egress.sources.get(plan.source_id)
        members = [] if only is None else [(only, 1)]
    return [
        (source, weight) for source, weight in members
        if source.status == "active" and not egress.is_suspended("source", source.name)
    ]  # fmt: skip


#: Where a source takes mail: (hosts, or why they are not known; site; provider).
Start = tuple[Route | ResolveError, str, str]


def start_of(plan: Plan, source: SourceFacts) -> Start:
    if source.kind != SourceKind.SMART_HOST:
        return plan.found, plan.site, plan.provider
    known = smart_host(source.id)
    site = known.host if known else source.name
    found = smart_route(source)
    names = [site] if isinstance(found, ResolveError) else [host.name for host in found.hosts]
    return found, site, limits_of_path(site, names, source.name).provider


def way_of(
    plan: Plan, source: SourceFacts, weight: int, start: Start,
    slowed: Mapping[PathKey, Throttled],
) -> Way:  # fmt: skip
    found, site, provider = start
    state = slowed.get((source.name, site, provider))
    hosts = plan.found
    if isinstance(found, ResolveError):
        state = Throttled(until=now_ms() + LOOK_AGAIN_MS, reason=f"smart host {site}: {found.text}")
    else:
        hosts = found
    names = [site] if source.kind == SourceKind.SMART_HOST else [h.name for h in hosts.hosts]
    explained = limits_of_path(site, names, source.name)
    now = today()
    warmup = allowance(source, provider or site, now.date())
    stream = stream_facts(plan.batch.stream_id)
    limits = path_limits(plan.batch, stream, source, site, explained, warmup, state, now)
    return Way(source, weight, site, hosts, explained, limits, state, warmup is not None)


def path_of(way: Way, *, alone: bool) -> Path:
    """What deliver has to know."""
    source, limits, shaped = way.source, way.limits, way.explained.limits
    path = Path(
        site=way.site,
        provider=way.explained.provider,
        hosts=tuple((host.name, host.addresses) for host in way.found.hosts),
        source_id=source.id,
        source_name=source.name,
        source_address=source.address,
        ehlo_name=source.ehlo_name or wiring.config().hostname,
        tls=shaped.tls,
        connections=limits.connections,
        messages_per_connection=limits.messages_per_connection,
        timeouts=tuple(getattr(shaped, f"{item.name}_timeout") for item in fields(Timeouts)),
        queue="",
        buckets=bucket_rows(limits.buckets),
        counters=tuple((c.key, c.limit, c.ttl, c.ends_at) for c in limits.counters),
        slots=limits.slots,
        opens=bucket_rows(limits.opens),
        rate=limits.rate,
        throttled=way.throttled is not None,
        alone=alone,
        probe=way.throttled.probe if way.throttled else "",
        retry_steps=shaped.retry_steps,
        life_hours=shaped.life_hours,
    )
    relay = smart_host(source.id) if source.kind == SourceKind.SMART_HOST else None
    return path if relay is None else replace(path, tls=relay.tls, port=relay.port)


def bucket_rows(buckets: Sequence[Bucket]) -> tuple[tuple[str, float, int], ...]:
    return tuple((bucket.key, bucket.per_second, bucket.burst) for bucket in buckets)
