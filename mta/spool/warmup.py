"""What a settled batch adds to the day's figures of a warming source."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

from mta.egress import warmup
from mta.egress.warmup import DayCount
from mta.policy.warmup_gate import judged
from mta.spool.held import Held
from mta.spool.result import Context, Result
from mta.storage.fields import from_ms

#: What was settled of one batch.
Batch = tuple[Context, Sequence[tuple[Result, Held]]]


def count(batches: Iterable[Batch]) -> None:
    """Count the attempts from warming sources; the last thing that a transaction does."""
    counts = [
        one
        for context, few in batches
        if context.source_id is not None and warmup.is_warming(context.source_id)
        for one in day_counts(context, context.source_id, few)
    ]
    if counts:
        warmup.count(counts)


def day_counts(
    context: Context, source_id: int, few: Sequence[tuple[Result, Held]]
) -> list[DayCount]:
    """One row a day, of the day on which each reply was read."""
    sums: dict[date, list[int]] = {}
    for result, _ in few:
        if result.stage == "local":  # our own word: the receiver was not asked
            continue
        more = judged(result.outcome, result.bounce_class)
        if more[0]:
            total = sums.setdefault(from_ms(result.at).date(), [0, 0, 0, 0])
            for at, number in enumerate(more):
                total[at] += number
    reach = context.provider or context.site
    return [DayCount(source_id, reach, day, *total) for day, total in sums.items()]
