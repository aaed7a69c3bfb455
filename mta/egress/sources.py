"""Pools and sources as delivery sees them, remembered for a few seconds."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import date

from django.db.models import Prefetch
from django.utils import timezone

from mta.egress.models import Pool, PoolMember, Source, SourceStatus, Suspension, WarmupStage
from mta.policy.warmup import daily_cap

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

    def cap(self, today: date) -> int | None:
        """Messages that it may send to one provider today; None when it is warm."""
        if not self.stages or self.warmup_started_on is None:
            return None
        return daily_cap(self.stages, self.warmup_started_on, today)


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """A pool: its members with their weights, and where the excess goes."""

    id: int
    name: str
    members: tuple[tuple[SourceFacts, int], ...]
    overflow_id: int | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All pools, and what people have suspended."""

    pools: dict[int, PoolFacts]
    suspended: frozenset[tuple[str, str]]
    taken_at: float

    def is_suspended(self, scope: str, *keys: str) -> bool:
        return any((scope, key) in self.suspended for key in keys if key)


_last: list[Snapshot] = []


def snapshot() -> Snapshot:
    """The egress configuration, at most KEEP_SECONDS old."""
    now = time.monotonic()
    known = _last[:]  # another thread may forget meanwhile
    if not known or now - known[0].taken_at > KEEP_SECONDS:
        known = [Snapshot(read_pools(), read_suspensions(), now)]
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


def read_pools() -> dict[int, PoolFacts]:
    members = PoolMember.objects.select_related("source")
    stages: dict[int, list[int]] = {}
    for schedule_id, per_day in WarmupStage.objects.order_by("schedule_id", "day").values_list(
        "schedule_id", "per_day"
    ):
        stages.setdefault(schedule_id, []).append(per_day)
    return {
        pool.pk: PoolFacts(
            id=pool.pk,
            name=pool.name,
            members=tuple(
                (facts_of(member.source, stages), member.weight) for member in pool.members.all()
            ),
            overflow_id=pool.overflow_id,
        )
        for pool in Pool.objects.prefetch_related(Prefetch("members", queryset=members))
    }


def facts_of(source: Source, stages: dict[int, list[int]]) -> SourceFacts:
    return SourceFacts(
        id=source.pk,
        name=source.name,
        address=source.address or "",
        ehlo_name=source.ehlo_name,
        status=source.status,
        stages=tuple(stages.get(source.warmup_schedule_id or 0, ())),
        warmup_started_on=source.warmup_started_on,
    )


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
