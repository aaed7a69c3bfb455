"""The end of a warmup day: one decision per source and reach, written down with its reason.

Rule 1: each UTC day that is over is decided once, however many run this and however late.
Rule 2: the state, its reason and the event of the decision are written in one transaction.
Rule 3: a day without attempts is decided too, and told of only where it changes something: else
        sources at rest would fill the list of decisions.
Rule 4: a state from before the source's first day begins anew.
Rule 5: states at stage 1 that have rested for `restart_after_days` are removed: they say no more
        than none does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, time, timedelta
from functools import partial

from django.db.models import Q

from mta.delivery.shaping import rules
from mta.egress.models import WarmupDay, WarmupSchedule, WarmupState
from mta.egress.sources import KEEP_SECONDS
from mta.events import decisions
from mta.policy.shaping import providers
from mta.policy.warmup_gate import DayFigures, Decision, Gates, Move, Standing, Status, decide
from mta.spool import inject, waiting
from mta.storage.fields import now_ms
from mta.storage.transactions import write

#: States of one transaction: nobody waits long for it.
PAGE = 100
#: Days that are looked back at; who was away longer has been idle.
MOST_DAYS = 60
#: How long the figures of a day are kept.
KEEP_DAYS = 90
#: Milliseconds until every process has looked anew, with a little to spare.
HEARD_MS = round(KEEP_SECONDS * 1000) + 200
#: After midnight the last replies of the day are still being settled.
GRACE = timedelta(minutes=5)


def decide_all(now: datetime) -> int:
    """Decide every day that is over and undecided; returns the number of states looked at."""
    done, last = 0, 0
    while page := write(partial(decide_page, now, last)):
        done, last = done + len(page), page[-1].pk
        today = (now.astimezone(UTC) - GRACE).date()
        wake([state for state in page if state.stage_started_on == today], now)
    if done:  # once a day
        old = now.date() - timedelta(days=KEEP_DAYS)
        write(lambda: WarmupDay.objects.filter(day__lt=old).delete())
    return done


def decide_page(now: datetime, after: int) -> list[WarmupState]:
    """Decide the next PAGE undecided states with a higher id than `after`, and return them.

    States that another runner has in hand are left to it.
    """
    today = (now.astimezone(UTC) - GRACE).date()
    midnight = datetime.combine(today, time.min, UTC)
    undecided = WarmupState.objects.filter(
        Q(decided_at__lt=midnight) | Q(decided_at=None, stage_started_on__lt=today),
        source__warmup_schedule__isnull=False, pk__gt=after,
    )  # fmt: skip
    states = list(
        undecided.select_related("source__warmup_schedule")
        .order_by("pk")
        .select_for_update(skip_locked=True, of=("self",))[:PAGE]
    )
    known = figures_of(states, today)
    stages: dict[int, int] = {}
    for state in states:
        schedule = state.source.warmup_schedule
        if schedule is not None:
            if schedule.pk not in stages:
                stages[schedule.pk] = schedule.stages.count()
            decide_state(state, schedule, stages[schedule.pk], known, today)
            store(state, schedule, now, today)
    return states


Key = tuple[int, str, date]


def first_undecided(state: WarmupState, today: date) -> date:
    """The first day that nothing was decided about."""
    decided = state.decided_at
    first = state.stage_started_on if decided is None else (decided - GRACE).date()
    return max(first, today - timedelta(days=MOST_DAYS))


def figures_of(states: list[WarmupState], today: date) -> dict[Key, DayFigures]:
    """The figures of the states' undecided days, by source, reach and day."""
    if not states:
        return {}
    found = WarmupDay.objects.filter(
        source_id__in={state.source_id for state in states},
        reach__in={state.reach for state in states},
        day__gte=min(first_undecided(state, today) for state in states),
        day__lt=today,
    )
    return {(one.source_id, one.reach, one.day): figures(one) for one in found}


def figures(row: WarmupDay) -> DayFigures:
    return DayFigures(
        row.day, row.cap, row.attempted, row.delivered, row.deferred, row.blocked, row.complaints
    )


def gates_of(schedule: WarmupSchedule) -> Gates:
    return Gates(**{name: getattr(schedule, name) for name in Gates.__dataclass_fields__})


def decide_state(
    state: WarmupState, schedule: WarmupSchedule, stages: int, known: dict[Key, DayFigures],
    today: date,
) -> None:  # fmt: skip
    """Decide the state's undecided days in their order; it changes in memory."""
    begin_anew(state)
    day = first_undecided(state, today)
    while day < today:
        its = known.get((state.source_id, state.reach, day))
        standing = Standing(state.stage, Status(state.status), state.last_sent_on)
        day += timedelta(days=1)
        decision = decide(stages, gates_of(schedule), standing, its, day)
        judged = state.status == Status.WARMING and its is not None and its.attempted > 0
        if judged or decision.move is not Move.HOLD:
            tell(state, decision, "warmup", its)
        change(state, decision, day)


def begin_anew(state: WarmupState) -> None:
    """A state from before the source's first day says nothing of this warmup."""
    first = state.source.warmup_started_on
    if first is not None and state.stage_started_on < first:
        state.stage, state.status, state.stage_started_on = 1, Status.WARMING, first
        state.reason, state.decided_at = f"warmup begins anew on {first}", None


def change(state: WarmupState, decision: Decision, today: date) -> None:
    """Do in memory what was decided."""
    if (decision.stage, decision.status) != (state.stage, state.status):
        state.stage_started_on = today
    state.stage, state.status, state.reason = decision.stage, decision.status, decision.reason


def store(state: WarmupState, schedule: WarmupSchedule, now: datetime, today: date) -> None:
    rest = today - timedelta(days=schedule.restart_after_days)
    used = max(state.last_sent_on or state.stage_started_on, state.stage_started_on)
    if state.stage == 1 and state.status == Status.WARMING and used < rest:
        WarmupState.objects.filter(pk=state.pk).delete()  # the caller needs its key
        return
    state.decided_at = now
    state.save(update_fields=["stage", "status", "stage_started_on", "reason", "decided_at"])


def wake(states: Sequence[WarmupState], now: datetime) -> None:
    """Let mail that waits for these caps ask again, once every process knows the new ones."""
    gates = []
    for state in states:
        at = f"{state.source.name}:{state.reach}"
        gates += [f"warmup-spread:{at}", f"warmup:{at}:{now.astimezone(UTC):%Y-%m-%d}"]
    if waiting.shorten(gates, now_ms() + HEARD_MS):
        inject.ring()


def tell(state: WarmupState, decision: Decision, actor: str, its: DayFigures | None) -> None:
    """Write the event of a decision; its data are the stages, the status and the day's figures."""
    known = state.reach in providers(rules())
    decisions.record(
        f"warmup_{decision.move}",
        actor=actor,
        source=state.source.name,
        provider=state.reach if known else "",
        site="" if known else state.reach,
        reason=decision.reason,
        data={
            "stage": decision.stage,
            "stage_before": state.stage,
            "status": decision.status.value,
            **({} if its is None else {"figures": asdict(its)}),
        },
    )
