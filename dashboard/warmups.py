"""The warmup page's rows: where each source stands with each provider, and what comes next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import redis
from django.db.models import Q

from dashboard import roles
from mta import wiring
from mta.delivery.path_limits import warmup_counter
from mta.delivery.warmup_days import GRACE
from mta.egress.models import Source, WarmupDay, WarmupState
from mta.egress.sources import StateFacts, facts_of
from mta.egress.warmup import Allowance, allowance_of

#: Rows of one page.
PAGE = 50


@dataclass(frozen=True, slots=True)
class WarmupRow:
    """One source towards one reach."""

    state: WarmupState
    stages: int
    #: None: warm.
    allowance: Allowance | None
    #: Of today's cap; None where Redis does not answer.
    used: int | None
    today: WarmupDay | None
    yesterday: WarmupDay | None
    next_at: datetime

    @property
    def share(self) -> int:
        """Percent of today's cap that is used."""
        cap = self.allowance.cap if self.allowance else 0
        return min(100, round(100 * (self.used or 0) / cap)) if cap else 0


def warmup_rows(
    user: roles.Person, now: datetime, *, search: str = "", status: str = "", number: int = 1
) -> tuple[list[WarmupRow], bool]:
    """(rows of a page that the person may see, whether there are more)."""
    sources = roles.seen(user, Source.objects.filter(warmup_schedule__isnull=False))
    states = WarmupState.objects.filter(source__in=sources.values("pk"))
    if search:
        states = states.filter(Q(reach__icontains=search) | Q(source__name__icontains=search))
    if status:
        states = states.filter(status=status)
    first = (number - 1) * PAGE
    found = list(
        states.select_related("source__warmup_schedule").order_by(
            "source__name", "-stage", "reach"
        )[first : first + PAGE + 1]
    )
    return rows_of(found[:PAGE], now), len(found) > PAGE


def rows_of(states: Sequence[WarmupState], now: datetime) -> list[WarmupRow]:
    today = now.date()
    stages = stages_by_schedule(states)
    given = [allowed(state, stages, now) for state in states]
    days = {
        (day.source_id, day.reach, day.day): day
        for day in WarmupDay.objects.filter(
            source__in={state.source_id for state in states},
            reach__in={state.reach for state in states},
            day__gte=today - timedelta(days=1),
        )
    }
    used = used_today(states, given, now)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return [
        WarmupRow(
            state,
            len(stages.get(state.source.warmup_schedule_id or 0, ())),
            one,
            count,
            days.get((state.source_id, state.reach, today)),
            days.get((state.source_id, state.reach, today - timedelta(days=1))),
            midnight + timedelta(days=1) + GRACE,
        )
        for state, one, count in zip(states, given, used, strict=True)
    ]


def stages_by_schedule(states: Sequence[WarmupState]) -> dict[int, list[int]]:
    schedules = {s.source.warmup_schedule for s in states if s.source.warmup_schedule is not None}
    return {
        one.pk: list(one.stages.order_by("day").values_list("per_day", flat=True))
        for one in schedules
    }


def allowed(state: WarmupState, stages: dict[int, list[int]], now: datetime) -> Allowance | None:
    source = facts_of(state.source, stages)
    facts = StateFacts(state.stage, state.status, state.reason, state.last_sent_on)
    first = source.warmup_started_on
    if first is not None and state.stage_started_on < first:  # of an earlier warmup
        facts = StateFacts(1, "warming", "", None)
    return allowance_of(source, facts, now.date()) if source.stages else None


def used_today(
    states: Sequence[WarmupState], given: Sequence[Allowance | None], now: datetime
) -> list[int | None]:
    """What Redis has counted of each cap, in one question."""
    counters = [
        warmup_counter(state.source.name, state.reach, one.cap if one else 0, now)
        for state, one in zip(states, given, strict=True)
    ]
    try:
        return list(wiring.limits().used(counters))
    except redis.RedisError:
        return [None] * len(states)
