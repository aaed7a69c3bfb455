"""When the next message on a path may go, and what keeps it back: as delivery itself decides."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import redis
from django.utils import timezone

from dashboard.explain_sources import SourceTold
from mta.delivery.choose import Wait
from mta.delivery.ways import Plan, ways_for
from mta.egress.sources import Snapshot
from mta.net.dns import ResolveError
from mta.storage.fields import from_ms


@dataclass(frozen=True, slots=True)
class LaneTold:
    """A lane of the stream to the domain: what waits there together."""

    urgency: str
    #: When its next recipient may go.
    due_at: datetime | None
    #: A limit or a person lets nothing through before this; empty: nothing does.
    wait_until: datetime | None
    reason: str


@dataclass(frozen=True, slots=True)
class Stop:
    """A person's word or a list entry that keeps this mail back."""

    kind: str
    key: str
    reason: str
    ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class Next:
    """When the next message may go, and why not before; `at` is empty when nobody knows."""

    at: datetime | None
    reason: str


def next_message(
    way: Plan | ResolveError,
    egress: Snapshot,
    kept_back: tuple[Sequence[Stop], Sequence[Stop]],
    sources: Sequence[SourceTold],
    lanes: Sequence[LaneTold],
) -> Next:
    """The first thing that keeps the next message back, in the order in which delivery asks.

    `way` is the plan, or why the DNS gives none; `kept_back` are suspensions and suppressions.
    """
    now = timezone.now()
    stops, unwanted = kept_back
    return (
        next_here(way, stops, unwanted, sources)
        or (next_way(way, egress) if isinstance(way, Plan) else None)
        or next_connection(sources, now)
        or next_lane(lanes, now)
    )


def next_here(
    found: Plan | ResolveError,
    stops: Sequence[Stop],
    unwanted: Sequence[Stop],
    sources: Sequence[SourceTold],
) -> Next | None:
    """What a person, a list or the DNS says, in the order in which delivery asks."""
    if unwanted:
        return Next(None, f"never: the address is suppressed for {unwanted[0].key}")
    for stop in stops:
        if stop.kind != "source":
            until = "until it ends" if stop.ends_at else "until somebody resumes it"
            return Next(stop.ends_at, f"{stop.kind} {stop.key} is suspended {until}")
    if isinstance(found, ResolveError):
        what = "bounces" if found.permanent else "is tried again later"
        return Next(None if found.permanent else timezone.now(), f"mail {what}: {found}")
    if not any(source.status == "active" and not source.suspended for source in sources):
        return Next(None, "no source of the pool may send: resume one, or add one to the pool")
    return None


def next_way(plan: Plan, egress: Snapshot) -> Next | None:
    """What delivery's own choice of a source says; None when one may send."""
    try:
        ((_, end),) = ways_for([plan], egress, random.Random(0))
    except redis.RedisError:
        return Next(None, "Redis does not answer: rates and connections are not known")
    return Next(from_ms(end.until), end.reason) if isinstance(end, Wait) else None


def next_connection(sources: Sequence[SourceTold], now: datetime) -> Next | None:
    """Whether every source that has room has all its connections in use."""
    full = [
        next((use for use in one.uses if use.what == "open connections" and not use.free), None)
        for one in sources
        if one.free != 0 and one.status == "active" and not one.suspended
    ]
    if not full or None in full:
        return None
    first = full[0]
    said = f"all {first.most:g} of {first.of}" if first else ""
    return Next(now, f"all connections are in use ({said}): when one is free")


def next_lane(lanes: Sequence[LaneTold], now: datetime) -> Next:
    """What waits already goes first, when its lane wakes."""
    waiting = next((lane for lane in lanes if lane.wait_until is not None), None)
    if waiting is not None:
        return Next(waiting.wait_until, f"what waits goes first: {waiting.reason}")
    return Next(now, "nothing keeps it back")
