"""When waiting mail will be gone: rates and warmup caps applied to what waits, day after day.

Rule 1: each source sends at its rate until its cap of the day is reached; the next day goes on.
Rule 2: there are two answers: stages rise after each day that fills them, or stay what they are.
Rule 3: nothing is said beyond MOST_DAYS: then it does not end.
Rule 4: this is arithmetic on limits: other mail, refusals and retries make it later.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mta.policy.warmup import spread, stage_cap

DAY = 86_400.0
MOST_DAYS = 400
#: Steps that halve the time within a day: to a part in a million.
HALVINGS = 40


@dataclass(frozen=True, slots=True)
class Warming:
    """What caps a warming source towards one provider."""

    stages: tuple[int, ...]
    stage: int
    used_today: int
    spread_hours: float = 0.0
    #: A person keeps it at its stage.
    held: bool = False
    #: Days until its first day; nothing goes before.
    begins_in: int = 0
    #: Part of a stage that must be sent for the next one.
    share: float = 0.9


@dataclass(frozen=True, slots=True)
class SourceRate:
    """One source: messages a second, the name of the limit that sets it, and its warmup."""

    name: str
    per_second: float  #: above 0
    limited_by: str
    warming: Warming | None = None


@dataclass(frozen=True, slots=True)
class Queue:
    """What waits for one provider (or site), and the sources it can leave from."""

    waiting: int
    sources: tuple[SourceRate, ...]
    #: Retries: the last of them may not go before, seconds from now.
    not_before: float = 0.0


@dataclass(frozen=True, slots=True)
class Ending:
    """Seconds until nothing waits, None: not within MOST_DAYS; and what holds it up longest."""

    seconds: float | None
    limited_by: str


@dataclass(slots=True)
class Day:
    """One source within one day: its rate, and what is left of its cap (inf: no cap)."""

    per_second: float
    left: float

    def sent(self, seconds: float) -> float:
        return min(self.per_second * seconds, self.left)


def ending(queue: Queue, to_midnight: float, *, rising: bool) -> Ending:
    """When the queue is empty; `to_midnight` are the seconds left of this UTC day."""
    if not queue.waiting:
        return Ending(0.0, "")
    if not queue.sources:
        return Ending(None, "no source may send")
    rest, passed, length = float(queue.waiting), 0.0, to_midnight
    stages = [source.warming.stage if source.warming else 0 for source in queue.sources]
    capped = False
    for number in range(MOST_DAYS):
        days = [
            today(source, stage, number)
            for source, stage in zip(queue.sources, stages, strict=True)
        ]
        can = sum(day.sent(length) for day in days)
        if can >= rest:
            needed = passed + within(days, rest, length)
            return Ending(max(needed, queue.not_before), tightest(queue, days, needed, capped))
        capped = capped or any(day.left < math.inf for day in days)
        if rising:
            stages = [raised(source, stage, day.sent(length), number) for source, stage, day in
                      zip(queue.sources, stages, days, strict=True)]  # fmt: skip
        rest, passed, length = rest - can, passed + length, DAY
    return Ending(None, "warmup" if capped else queue.sources[0].limited_by)


def today(source: SourceRate, stage: int, number: int) -> Day:
    """The source's day `number` (0 is today) at a stage; beyond the last there is no cap."""
    plan = source.warming
    if plan is None or stage > len(plan.stages):
        return Day(source.per_second, math.inf)
    if number < plan.begins_in:
        return Day(source.per_second, 0.0)
    cap = stage_cap(plan.stages, stage)
    per_second, _ = spread(cap, plan.spread_hours)
    rate = min(source.per_second, per_second or source.per_second)
    return Day(rate, float(cap) if number else max(0.0, float(cap - plan.used_today)))


def raised(source: SourceRate, stage: int, sent: float, number: int) -> int:
    """The stage after day `number` (0 is today), when all that was sent was delivered."""
    plan = source.warming
    if plan is None or plan.held or number < plan.begins_in or stage > len(plan.stages):
        return stage
    done = sent + (0 if number else plan.used_today)
    return stage + (done >= plan.share * stage_cap(plan.stages, stage))


def within(days: Sequence[Day], rest: float, length: float) -> float:
    """Seconds of the day until `rest` messages are sent; they can be."""
    low, high = 0.0, length
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if sum(day.sent(middle) for day in days) >= rest:
            high = middle
        else:
            low = middle
    return high


def tightest(queue: Queue, days: Sequence[Day], needed: float, capped: bool) -> str:
    """What holds the queue up longest, in a word."""
    if queue.not_before > needed:
        return "retries"
    if capped or any(day.left < math.inf and day.per_second < source.per_second
                     for source, day in zip(queue.sources, days, strict=True)):  # fmt: skip
        return "warmup"
    return min(queue.sources, key=lambda source: source.per_second).limited_by
