"""A source that is being warmed up, for the tests that need one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from mta.egress import sources
from mta.egress.models import (
    Pool,
    PoolMember,
    Source,
    WarmupDay,
    WarmupSchedule,
    WarmupStage,
    WarmupState,
)

TODAY = date(2026, 3, 20)


def warming_source(
    name: str = "cold", stages: Sequence[int] = (50, 100, 200), started: date = date(2026, 3, 1),
    **schedule: Any,
) -> Source:  # fmt: skip
    """A source in a pool of its own name, under a schedule of its own name."""
    plan = WarmupSchedule.objects.create(name=f"{name}-plan", **schedule)
    WarmupStage.objects.bulk_create(
        WarmupStage(schedule=plan, day=day, per_day=n) for day, n in enumerate(stages, 1)
    )
    source = Source.objects.create(name=name, warmup_schedule=plan, warmup_started_on=started)
    PoolMember.objects.create(pool=Pool.objects.create(name=name), source=source)
    sources.forget()
    return source


def state(source: Source, reach: str = "google", **values: Any) -> WarmupState:
    values.setdefault("stage_started_on", TODAY)
    made = WarmupState.objects.create(source=source, reach=reach, **values)
    sources.forget()
    return made


def day(source: Source, on: date, reach: str = "google", **values: Any) -> WarmupDay:
    return WarmupDay.objects.create(source=source, reach=reach, day=on, **values)


def facts(source: Source) -> sources.SourceFacts:
    """The source as delivery sees it now."""
    sources.forget()
    found = sources.snapshot().pools.values()
    return next(s for pool in found for s, _ in pool.members if s.id == source.pk)
