"""Which source of a pool takes the next mail: weighted chance among those with room left."""

import random
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Candidate:
    """A source of the pool as it stands now."""

    source_id: int
    weight: int  #: 0 takes nothing
    remaining: int | None  #: messages left under its warmup cap; None: no cap


def choose_source(candidates: Sequence[Candidate], rng: random.Random) -> int | None:
    """Choose by weight, skipping what is exhausted; None when nobody has room (use overflow)."""
    able = [
        candidate
        for candidate in candidates
        if candidate.weight > 0 and (candidate.remaining is None or candidate.remaining > 0)
    ]
    total = sum(candidate.weight for candidate in able)
    if not total:
        return None
    point = rng.randrange(total)
    for candidate in able:
        point -= candidate.weight
        if point < 0:
            return candidate.source_id
    raise AssertionError("a point below the sum of weights lies within one of them")
