"""What became of the last hour's attempts, counted by domain, provider, source, tenant, campaign.

Rule 1: slots of five minutes by Redis's clock; "the last hour" is the running slot and the eleven
        before it.
Rule 2: the number of keys is bounded (dimensions times slots), and so are the fields of each: in a
        slot with MOST_FIELDS of a dimension further ones are not counted.
Rule 3: everything here may be forgotten: rates begin anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from typing import Any, NamedTuple

import redis

from mta.limits.scripts import load

DIMENSIONS = ("domain", "provider", "source", "tenant", "campaign")
#: `blocked` counts beside bounced or deferred, `complaints` beside delivered.
COUNTED = ("delivered", "deferred", "bounced", "blocked", "complaints")
#: What a try ends with; together they are the attempts.
ENDS = frozenset({"delivered", "deferred", "bounced"})
SLOT_SECONDS = 300
SLOTS = 12
KEEP_SECONDS = SLOT_SECONDS * (SLOTS + 1)
MOST_FIELDS = 50_000
#: How long a process trusts what it read.
FRESH_SECONDS = 2.0
MOST_REMEMBERED = 20_000

Key = tuple[str, str]


class Counted(NamedTuple):
    """`more` of `what` under one key of a dimension."""

    dimension: str
    key: str
    what: str
    more: int


class Tally:
    """The counts of all processes; safe to share between threads like its client."""

    def __init__(
        self, client: redis.Redis, prefix: str = "mailmill:tally:",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """Keep everything under `prefix`; redis.RedisError from any method on trouble."""
        self._keys = [f"{prefix}{dimension}:" for dimension in DIMENSIONS]
        self._add, self._read = load(client, "tally_add"), load(client, "tally_read")
        self._clock = clock
        self._known: dict[Key, tuple[float, dict[str, int]]] = {}

    def add(self, counts: Iterable[Counted]) -> None:
        """Count in one round trip; what is of a key "" counts for nobody."""
        sums: dict[tuple[str, str, str], int] = {}
        for dimension, key, what, more in counts:
            if key and more:
                sums[dimension, key, what] = sums.get((dimension, key, what), 0) + more
        if not sums:
            return
        args: list[Any] = [SLOT_SECONDS, KEEP_SECONDS, MOST_FIELDS]
        for (dimension, key, what), more in sums.items():
            args += (INDEX[dimension], f"{what}:{key}", more)
        self._add(keys=self._keys, args=args)

    def read(self, wanted: Collection[Key]) -> dict[Key, dict[str, int]]:
        """Counts of (dimension, key), "attempts" too, FRESH_SECONDS old at most; one round trip."""
        now = self._clock()
        found: dict[Key, dict[str, int]] = {}
        missing: list[Key] = []
        for one in wanted:
            known = self._known.get(one)
            if known is not None and known[0] > now:
                found[one] = known[1]
            elif one[1]:
                missing.append(one)
            else:
                found[one] = {}
        if missing:
            if len(self._known) + len(missing) > MOST_REMEMBERED:
                self._known = {}
            for one, counts in zip(missing, self._asked(missing), strict=True):
                found[one] = counts
                self._known[one] = (now + FRESH_SECONDS, counts)
        return found

    def _asked(self, wanted: list[Key]) -> list[dict[str, int]]:
        args: list[Any] = [SLOT_SECONDS, SLOTS, len(COUNTED)]
        for dimension, key in wanted:
            args += (INDEX[dimension], *(f"{what}:{key}" for what in COUNTED))
        sums = self._read(keys=self._keys, args=args)
        width = len(COUNTED)
        answers = []
        for start in range(0, len(sums), width):
            counts = dict(zip(COUNTED, map(int, sums[start : start + width]), strict=True))
            counts["attempts"] = sum(counts[end] for end in ENDS)
            answers.append(counts)
        return answers


INDEX = {dimension: number for number, dimension in enumerate(DIMENSIONS, 1)}
