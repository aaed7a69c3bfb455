"""Percentiles of a sample: the value that so many per cent do not exceed (nearest rank)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

SHOWN = (50, 95, 99)


def percentile(sample: Sequence[float], share: float) -> float:
    """`share` in per cent; ValueError for an empty sample."""
    if not sample:
        raise ValueError("an empty sample has no percentiles")
    ordered = sorted(sample)
    return ordered[max(0, math.ceil(share / 100 * len(ordered)) - 1)]


def summary(milliseconds: Sequence[float]) -> dict[str, float | int | None]:
    """n, p50_ms, p95_ms, p99_ms and max_ms; null where nothing was measured."""
    found: dict[str, float | int | None] = {"n": len(milliseconds)}
    for share in SHOWN:
        found[f"p{share}_ms"] = round(percentile(milliseconds, share), 1) if milliseconds else None
    found["max_ms"] = round(max(milliseconds), 1) if milliseconds else None
    return found


def delays(
    instants: Mapping[str, Sequence[int]], stamps: Mapping[str, int], which: int
) -> list[float]:
    """Milliseconds from an instant of each recipient (0 sent, 1 accepted) to its stamp.

    Nanoseconds go in. A message may be at the sink before its 202 is read: below 0 counts as 0.
    """
    return [
        max(0.0, (stamps[who] - pair[which]) / 1e6)
        for who, pair in instants.items()
        if who in stamps
    ]
