"""Drain a source: nothing new begins on it, what is in flight finishes.

Mail that was bound to it by an earlier attempt goes from another source of its pool; where there
is none, it waits. Every process hears of it within KEEP_SECONDS of mta.egress.sources.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import redis
from django.db.models import Q

from mta import wiring
from mta.control.refusal import Refused
from mta.egress.models import Pool, Source, SourceStatus
from mta.egress.sources import KEEP_SECONDS, forget
from mta.events import decisions
from mta.policy.lifecycle import WAITING, State
from mta.spool import inject, lanes, waiting
from mta.spool.lanes import Note
from mta.spool.models import Lane, Recipient
from mta.storage.fields import now_ms
from mta.storage.transactions import write

SOURCE = "SOURCE"
#: Milliseconds until every process has looked anew, with a little to spare.
HEARD_MS = round(KEEP_SECONDS * 1000) + 200


@dataclass(frozen=True, slots=True)
class Load:
    """What a source still has to do with."""

    source: str
    status: str
    #: Waiting recipients that an earlier attempt bound to it.
    bound: int
    #: Recipients in flight that were bound to it before.
    in_flight: int
    #: Connections that workers have open from it now; None when Redis cannot be asked.
    connections: int | None
    #: Pools that would have no other active source.
    alone_in: tuple[str, ...]


def source_named(name: str, argument: str = SOURCE) -> Source:
    """The source; Refused when there is none."""
    found = Source.objects.filter(name=name.strip().lower()).first()
    if found is None:
        raise Refused(argument, f"there is no source named {name!r}.")
    return found


def load(source: Source) -> Load:
    """Count what is bound to the source; reads what waits once."""
    rows = Recipient.objects.filter(source=source).order_by()
    mine = Pool.objects.filter(sources=source)
    alone = [
        pool.name
        for pool in mine
        if not pool.sources.filter(status=SourceStatus.ACTIVE).exclude(pk=source.pk).exists()
    ]
    return Load(
        source.name,
        source.status,
        rows.filter(state__in=sorted(WAITING)).count(),
        rows.filter(state=State.CLAIMED).count(),
        connections_of(source.name),
        tuple(alone),
    )


def connections_of(source: str) -> int | None:
    """Leases of connections from the source, to sites or else to providers as a whole."""
    limits = wiring.limits()
    try:
        held = {key: limits.held(key) for key in limits.names(f"connections:{source}:")}
    except redis.RedisError:
        return None
    whole = sum(number for key, number in held.items() if ":@" in key)
    return max(whole, sum(held.values()) - whole)


def drain(source: Source, *, by: str, reason: str = "") -> Load:
    """Begin nothing new on it."""
    return become(source, SourceStatus.DRAINING, "drain", by, reason)


def undrain(source: Source, *, by: str, reason: str = "") -> Load:
    """Let it send again; Refused when something else stops it."""
    if source.status == SourceStatus.SUSPENDED:
        raise Refused(SOURCE, f"{source.name} is not draining, its status is suspended.")
    return become(source, SourceStatus.ACTIVE, "undrain", by, reason)


def become(source: Source, status: SourceStatus, kind: str, by: str, reason: str) -> Load:
    def work() -> Load:
        Source.objects.filter(pk=source.pk).update(status=status)
        source.status = status
        found = load(source)
        decisions.record(kind, actor=by, reason=reason, source=source.name, count=found.bound)
        return found

    found = write(work)
    forget()
    if status is SourceStatus.ACTIVE:
        write(partial(free_pools, source.name))
    inject.ring()
    return found


def free_pools(source: str) -> int:
    """Let lanes go that found no active source in a pool of this one; how many.

    Choosing a source believes what the process remembers: not before all have looked anew. The
    caller holds the transaction.
    """
    pools = Pool.objects.filter(sources__name=source).values_list("name", flat=True)
    behind = Q(pk__in=[])
    for name in pools:  # a gate may hold the keys of several reasons
        behind |= Q(gate__contains=waiting.suspended("pool", name))
    held_back = list(Lane.objects.exclude(gate="").filter(behind).values_list("pk", flat=True))
    at = now_ms() + HEARD_MS
    lanes.note([Note(pk, due_at=at, wait_until=at, gate="", hold_reason="") for pk in held_back])
    return len(held_back)
