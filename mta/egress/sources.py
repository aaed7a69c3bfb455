"""Pools and sources as delivery sees them, remembered for a few seconds."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import date

from django.db.models import F
from django.utils import timezone

from mta.egress.models import (
    Pool,
    PoolMember,
    Source,
    SourceKind,
    SourceStatus,
    Suspension,
    WarmupStage,
    WarmupState,
    WarmupStatus,
)
from mta.tenants.models import Stream

#: A change in the admin acts within this many seconds.
KEEP_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """A source; address "" lets the system choose; `stages` are messages per day and provider."""

    id: int
    name: str
    address: str
    ehlo_name: str
    status: str
    stages: tuple[int, ...]
    warmup_started_on: date | None
    #: Hours over which a day's messages are spread; 0: not spread.
    spread_hours: int = 0
    kind: str = SourceKind.ADDRESS.value
    #: What it may send in all: (messages, seconds).
    rates: tuple[tuple[float, int], ...] = ()

    @property
    def has_schedule(self) -> bool:
        """Whether a warmup schedule governs it, over or not."""
        return bool(self.stages) and self.warmup_started_on is not None


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """A pool: its members with their weights, and where the excess goes."""

    id: int
    name: str
    members: tuple[tuple[SourceFacts, int], ...]
    overflow_id: int | None


@dataclass(frozen=True, slots=True)
class StateFacts:
    """How far a source has come with one provider; without one it is at stage 1, warming."""

    stage: int
    status: str
    reason: str
    last_sent_on: date | None


#: (source id, provider or site)
Reach = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All pools, what people have suspended, and how far warmups have come.

    `warmups` leaves out states at stage 1: they say no more than none does, and there is one for
    each small site. `warming` are the ids of the sources that a schedule governs.
    """

    pools: dict[int, PoolFacts]
    #: All sources by id, also those that are in no pool.
    sources: dict[int, SourceFacts]
    suspended: frozenset[tuple[str, str]]
    taken_at: float
    warmups: dict[Reach, StateFacts] = field(default_factory=dict)
    warming: frozenset[int] = frozenset()

    def is_suspended(self, scope: str, *keys: str) -> bool:
        return any((scope, key) in self.suspended for key in keys if key)


_last: list[Snapshot] = []


def snapshot() -> Snapshot:
    """The egress configuration, at most KEEP_SECONDS old."""
    now = time.monotonic()
    known = _last[:]  # another thread may forget meanwhile
    if not known or now - known[0].taken_at > KEEP_SECONDS:
        warming = read_warming()
        warmups = read_warmups() if warming else {}
        pools, sources = read_egress()
        known = [Snapshot(pools, sources, read_suspensions(), now, warmups, warming)]
        _last[:] = known
    return known[0]


def suspended(scope: str, *keys: str) -> bool:
    """Whether a person has suspended one of the keys; a yes is never an old one.

    Mail that is put off waits a minute: somebody who has just resumed it must not wait as well.
    """
    if not snapshot().is_suspended(scope, *keys):
        return False
    forget()
    return snapshot().is_suspended(scope, *keys)


def forget() -> None:
    """Read anew at the next call (tests, and processes that changed it themselves)."""
    _last.clear()


def read_egress() -> tuple[dict[int, PoolFacts], dict[int, SourceFacts]]:
    """All pools and sources by their ids."""
    stages: dict[int, list[int]] = {}
    for schedule_id, per_day in WarmupStage.objects.order_by("schedule_id", "day").values_list(
        "schedule_id", "per_day"
    ):
        stages.setdefault(schedule_id, []).append(per_day)
    rows = Source.objects.select_related("warmup_schedule").defer("password")
    sources = {source.pk: facts_of(source, stages) for source in rows}
    members: dict[int, list[tuple[SourceFacts, int]]] = {}
    for pool_id, source_id, weight in PoolMember.objects.order_by("source__name").values_list(
        "pool_id", "source_id", "weight"
    ):
        if source_id in sources:
            members.setdefault(pool_id, []).append((sources[source_id], weight))
    pools = {
        pool.pk: PoolFacts(pool.pk, pool.name, tuple(members.get(pool.pk, ())), pool.overflow_id)
        for pool in Pool.objects.all()
    }
    return pools, sources


def facts_of(source: Source, stages: dict[int, list[int]]) -> SourceFacts:
    return SourceFacts(
        id=source.pk,
        name=source.name,
        address=source.address or "",
        ehlo_name=source.ehlo_name,
        status=source.status,
        stages=tuple(stages.get(source.warmup_schedule_id or 0, ())),
        warmup_started_on=source.warmup_started_on,
        spread_hours=source.warmup_schedule.spread_hours if source.warmup_schedule else 0,
        kind=source.kind,
        rates=rates_of(source),
    )


def rates_of(row: Source | Stream) -> tuple[tuple[float, int], ...]:
    """The rates that a row of the admin sets: (messages, seconds)."""
    rates = (
        (row.messages_per_second, 1), (row.messages_per_hour, 3600), (row.messages_per_day, 86_400)
    )  # fmt: skip
    return tuple((rate, seconds) for rate, seconds in rates if rate)


def read_warming() -> frozenset[int]:
    rows = Source.objects.filter(
        warmup_started_on__isnull=False, warmup_schedule__stages__isnull=False
    )
    return frozenset(rows.values_list("pk", flat=True))


def read_warmups() -> dict[Reach, StateFacts]:
    rows = WarmupState.objects.exclude(stage=1, status=WarmupStatus.WARMING).exclude(
        # It is from before the source's first day: of another warmup.
        stage_started_on__lt=F("source__warmup_started_on")
    )
    return {
        (source_id, reach): StateFacts(stage, status, reason, last_sent_on)
        for source_id, reach, stage, status, reason, last_sent_on in rows.order_by().values_list(
            "source_id", "reach", "stage", "status", "reason", "last_sent_on"
        )
    }


def read_suspensions() -> frozenset[tuple[str, str]]:
    now = timezone.now()
    found = {
        (s.scope, s.key) for s in Suspension.objects.all() if s.ends_at is None or s.ends_at > now
    }
    found |= {
        ("source", name)
        for name in Source.objects.exclude(status=SourceStatus.ACTIVE).values_list(
            "name", flat=True
        )
    }
    return frozenset(found)
