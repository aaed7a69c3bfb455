"""Which source of a pool a batch leaves from, and until when it waits when there is none.

Rule 1: a source may send as much as all its limits together have room for; among those that have
        some, chance decides by weight. What they have not, waits or goes to the overflow pool.
Rule 2: only warmup, and sources that the receiver blocks, send mail to the overflow pool; a rate
        that is used up is waited for.
Rule 3: retried mail keeps its source (greylisting), unless that one is blocked, stopped, or has
        used up its warmup.
Rule 4: engaged recipients go to warming sources first: a cold address is judged by its first mail.
Rule 5: mail that waits, waits for all its ways together: it goes as soon as one of them has room.
Rule 6: one question to Redis answers for a whole convoy.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from mta import wiring
from mta.delivery.batch import Batch
from mta.delivery.path_limits import PathLimits
from mta.egress.sources import PoolFacts, SourceFacts
from mta.limits.egress import Bucket, Room
from mta.net.dns import Route
from mta.policy.balance import Candidate, choose_source
from mta.policy.shaping import Explained
from mta.policy.throttled import Throttled
from mta.spool import waiting
from mta.storage.fields import now_ms

#: A lane that a rate keeps back is woken for this share of a second's messages, at least one.
QUANTUM_SECONDS = 0.25
#: What is free so soon counts as free: signing takes its time, and deliver waits for the next token
#: a little. Longer than dispatch gives out units ahead (tasks.gates), or these would come back.
LEAD_SECONDS = 0.4
#: How long mail waits for something that says itself when it ends, ms.
LOOK_AGAIN_MS = 60_000


@dataclass(frozen=True, slots=True)
class Way:
    """A source with everything that holds on the way from it."""

    source: SourceFacts
    weight: int
    site: str
    found: Route
    explained: Explained
    limits: PathLimits
    throttled: Throttled | None
    warming: bool


@dataclass(frozen=True, slots=True)
class Taken:
    """The way that a batch goes, and how many of it may go now."""

    way: Way
    #: None: nothing limits.
    free: int | None
    #: For what is beyond `free`.
    wait: Wait
    #: Whether there is no other way for what this one does not take.
    alone: bool


@dataclass(frozen=True, slots=True)
class Wait:
    """Why nothing may go now, and until when (ms); see mta.spool.waiting."""

    until: int
    reason: str
    gate: str = ""
    #: Whether the overflow pool takes what waits.
    overflows: bool = False


def rooms(ways: Sequence[Way]) -> list[Room]:
    """What each way has room for now, in one call."""
    groups = [(way.limits.buckets, way.limits.counters) for way in ways]
    return wiring.limits().room(groups, lead=LEAD_SECONDS)


def decide(
    batch: Batch,
    pool: PoolFacts | None,
    ways: Sequence[tuple[Way, Room]],
    wanted: int,
    rng: random.Random,
) -> Taken | Wait:
    """The way for a batch that wants to send to `wanted` recipients; there is one at least."""
    now = now_ms()
    open_ways = [pair for pair in ways if not blocked(pair[0], now)]
    free = [pair for pair in open_ways if has_room(*pair, now)]
    bound = [pair for pair in open_ways if pair[0].source.id == batch.bound_source_id]
    if bound and (has_room(*bound[0], now) or not warm_full(*bound[0])):
        open_ways, free = bound, [pair for pair in bound if pair in free]
    if batch.engaged:
        free = [pair for pair in free if pair[0].warming] or free
    chosen = choose_source(
        [Candidate(way.source.id, way.weight, room.free) for way, room in free], rng
    )
    for way, room in free:
        if way.source.id == chosen:
            rest = (
                Wait(now, "goes another way")
                if others(pool, ways)
                else beyond(way, room, wanted, now)
            )
            return Taken(way, room.free, rest, alone=not others(pool, ways))
    waits = [closed(way, room, wanted, now) for way, room in open_ways]
    waits += [until_open(way) for way, _ in ways if blocked(way, now)]
    return joined(waits, overflows=all(warm_full(*pair) for pair in open_ways))


def others(pool: PoolFacts | None, ways: Sequence[tuple[Way, Room]]) -> bool:
    """Whether what this way cannot take may find another."""
    return len(ways) > 1 or (pool is not None and pool.overflow_id is not None)


def blocked(way: Way, now: int) -> bool:
    state = way.throttled
    return state is not None and state.blocked and state.until > now


def paused(way: Way, now: int) -> bool:
    return way.throttled is not None and way.throttled.until > now and not way.throttled.probe


def has_room(way: Way, room: Room, now: int) -> bool:
    return not paused(way, now) and (room.free is None or room.free > 0)


def warm_full(way: Way, room: Room) -> bool:
    """Whether it is the warmup that keeps the source back."""
    return room.free == 0 and room.tightest in way.limits.warmup_keys()


def until_open(way: Way) -> Wait:
    """How long a way stays closed that replies have closed."""
    state = way.throttled or Throttled()
    return Wait(state.until, state.reason, state.gate)


def closed(way: Way, room: Room, wanted: int, now: int) -> Wait:
    """How long a way has no room."""
    if paused(way, now):
        return until_open(way)
    return when(way, room.tightest, wanted, now + round(room.retry_in * 1000), now)


def beyond(way: Way, room: Room, wanted: int, now: int) -> Wait:
    """How long the rest waits when only some may go."""
    rest = wanted - (room.free or 0)
    return when(way, room.tightest, rest, now, now)


def when(way: Way, key: str, wanted: int, first: int, now: int) -> Wait:
    """The instant at which enough is free again under the limit `key`; `first` one unit is."""
    for counter in way.limits.counters:
        if counter.key == key:
            return Wait(counter.ends_at or now + counter.ttl * 1000, said(key), key)
    for bucket in way.limits.buckets:
        if bucket.key == key:
            return Wait(first + quantum_ms(bucket, wanted), said(key), key)
    return Wait(first, said(key), key)


def quantum_ms(bucket: Bucket, wanted: int) -> int:
    """Milliseconds beyond the first unit until as many are free as are worth a batch."""
    units = min(wanted, bucket.burst, max(1, int(bucket.per_second * QUANTUM_SECONDS)))
    return round((units - 1) / bucket.per_second * 1000)


def joined(waits: Sequence[Wait], *, overflows: bool) -> Wait:
    """The first end of several waits; the gates of all."""
    first = min(waits, key=lambda wait: wait.until)
    gate = waiting.SEPARATOR.join(dict.fromkeys(wait.gate for wait in waits if wait.gate))
    return Wait(
        first.until, first.reason, gate if len(gate) <= waiting.LONGEST_GATE else "", overflows
    )


#: What a key says to people, by its first word.
WORDS = {
    "rate": "the rate a second", "minute": "the rate a minute", "hour": "the rate an hour",
    "day": "the rate a day", "warmup": "the warmup cap of today",
    "warmup-spread": "the day's warmup, spread over its hours",
    "throttle": "the rate that replies allow", "opens": "new connections a minute",
}  # fmt: skip


def said(key: str) -> str:
    """A limit in words: "limit: the rate a minute of mail-1 to @google is used up"."""
    word, *rest = key.split(":")
    whose = rest[0] if rest else ""
    to = rest[1] if len(rest) > 1 else ""
    if word == "quota":
        said = "the quota of the tenant"
    elif whose in {"source", "stream", "tenant"}:
        said = f"{WORDS.get(word, word)} of {whose} {to}".rstrip()
    else:
        said = f"{WORDS.get(word, word)} of {whose} to {to}".removesuffix(" to ")
    return f"limit: {said} is used up"
