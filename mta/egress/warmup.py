"""What a warming source may send to one provider today, and the count of what it did.

Rule 1: a source is warmed towards each provider apart (or site, where no provider is known): that
        is its reach. Without a state it stands at stage 1.
Rule 2: questions are answered from the snapshot; counting is two statements a settlement.
Rule 3: warm reaches are counted once a day: only that something was sent matters there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import orjson
from django.db import connection

from mta.egress.models import WarmupStatus
from mta.egress.sources import Snapshot, SourceFacts, StateFacts, snapshot
from mta.policy.warmup import spread, stage_cap
from mta.storage.statement import rows as run

DAY_COLUMNS = {
    "source_id": "bigint", "reach": "text", "day": "date", "cap": "int", "attempted": "int",
    "delivered": "int", "deferred": "int", "blocked": "int", "complaints": "int",
}  # fmt: skip
STATE_COLUMNS = {"source_id": "bigint", "reach": "text", "day": "date"}
# "WHERE true": SQLite would take ON CONFLICT for the condition of a join.
DAYS = (
    "INSERT INTO egress_warmupday (source_id, reach, day, cap, attempted, delivered, deferred, "
    "blocked, complaints) SELECT {} FROM {} WHERE true ON CONFLICT (source_id, reach, day) "
    "DO UPDATE SET attempted = egress_warmupday.attempted + excluded.attempted, "
    "delivered = egress_warmupday.delivered + excluded.delivered, "
    "deferred = egress_warmupday.deferred + excluded.deferred, "
    "blocked = egress_warmupday.blocked + excluded.blocked, "
    "complaints = egress_warmupday.complaints + excluded.complaints, "
    "cap = CASE WHEN excluded.cap > 0 THEN excluded.cap ELSE egress_warmupday.cap END"
)
STATES = (
    "INSERT INTO egress_warmupstate (source_id, reach, last_sent_on, stage_started_on, stage, "
    "status, reason) SELECT v.source_id, v.reach, v.day, v.day, 1, 'warming', '' "
    "FROM (SELECT {} FROM {}) AS v WHERE true "
    "ON CONFLICT (source_id, reach) DO UPDATE SET last_sent_on = excluded.last_sent_on "
    "WHERE egress_warmupstate.last_sent_on IS NULL "
    "OR egress_warmupstate.last_sent_on < excluded.last_sent_on"
)
START = StateFacts(1, WarmupStatus.WARMING.value, "", None)


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a warming source may send to one reach on one UTC day."""

    stage: int  #: 0 before the first day
    day: str  #: ISO date
    cap: int  #: messages
    per_second: float  #: 0.0: not spread over the day
    burst: int  #: messages at once
    status: str
    reason: str


@dataclass(frozen=True, slots=True)
class DayCount:
    """Attempts of a source to one reach on one day; policy.warmup_gate.judged says what counts."""

    source_id: int
    reach: str
    day: date
    attempted: int = 0
    delivered: int = 0
    deferred: int = 0
    blocked: int = 0


def is_warming(source_id: int) -> bool:
    """Whether a warmup schedule governs the source, so that its attempts are counted."""
    return source_id in snapshot().warming


def allowance(source: SourceFacts, reach: str, today: date) -> Allowance | None:
    """What it may send to `reach` today; None when it is warm there: no cap."""
    if not source.has_schedule:
        return None
    return allowance_of(source, snapshot().warmups.get((source.id, reach), START), today)


def allowance_of(source: SourceFacts, state: StateFacts, today: date) -> Allowance | None:
    """The same for a state at hand; `source` has a schedule."""
    first = source.warmup_started_on
    if first is not None and today < first:
        return Allowance(0, str(today), 0, 0.0, 1, WarmupStatus.WARMING.value, f"starts on {first}")
    if state.status == WarmupStatus.WARM:
        return None
    cap = stage_cap(source.stages, state.stage)
    per_second, burst = spread(cap, source.spread_hours)
    return Allowance(state.stage, str(today), cap, per_second, burst, state.status, state.reason)


def count(counts: Sequence[DayCount]) -> None:
    """Add what was attempted to the days, in the caller's transaction; unknown sources are skipped.

    Call it last in the transaction: from here on others who count the same reach wait.
    """
    facts = snapshot()
    sums: dict[tuple[int, str, date], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for one in counts:
        if one.attempted and not counted_today(facts, one):
            total = sums[one.source_id, one.reach[:253], one.day]
            for at, more in enumerate((one.attempted, one.delivered, one.deferred, one.blocked)):
                total[at] += more
    if not sums:
        return
    # In one order, so that two settlements never wait in a circle.
    keys = sorted(sums)
    sources = {s.id: s for pool in facts.pools.values() for s, _ in pool.members}
    store_days([(*key, cap_of(facts, sources, key), *sums[key], 0) for key in keys])
    store_states(keys)


def complained(source_id: int, reach: str, day: date) -> None:
    """Count one complaint about mail that the source sent to `reach`, on the day it is reported."""
    store_days([(source_id, reach[:253], day, 0, 0, 0, 0, 0, 1)])


def counted_today(facts: Snapshot, one: DayCount) -> bool:
    state = facts.warmups.get((one.source_id, one.reach[:253]))
    warm = state is not None and state.status == WarmupStatus.WARM
    return warm and state is not None and state.last_sent_on == one.day


def cap_of(facts: Snapshot, sources: dict[int, SourceFacts], key: tuple[int, str, date]) -> int:
    """The day's cap, for people to see beside the figures; 0 when there is none."""
    source_id, reach, day = key
    source = sources.get(source_id)
    if source is None or not source.has_schedule:
        return 0
    found = allowance_of(source, facts.warmups.get((source_id, reach), START), day)
    return found.cap if found else 0


def store_days(values: Sequence[Sequence[Any]]) -> None:
    """Add to the days; each value is a row of DAY_COLUMNS."""
    if values:
        run(DAYS.format(*rows_of(DAY_COLUMNS, values)), packed(values))


def store_states(values: Sequence[tuple[int, str, date]]) -> None:
    """Make states at their first use; (source id, reach, day on which it was used)."""
    if values:
        run(STATES.format(*rows_of(STATE_COLUMNS, values)), packed(values))


def rows_of(columns: Mapping[str, str], values: Sequence[Sequence[Any]]) -> tuple[str, str]:
    """(columns, source) of a SELECT that yields the values: one text, however many there are."""
    if connection.vendor == "postgresql":
        arrays = ", ".join(f"%s::{kind}[]" for kind in columns.values())
        return ", ".join(columns), f"unnest({arrays}) AS v({', '.join(columns)})"
    parts = ", ".join(f"value ->> {at} AS {name}" for at, name in enumerate(columns))
    return parts, "json_each(%s)"


def packed(values: Sequence[Sequence[Any]]) -> list[Any]:
    """The parameters of rows_of."""
    if connection.vendor == "postgresql":
        return [list(column) for column in zip(*values, strict=True)]
    return [orjson.dumps(values).decode()]
