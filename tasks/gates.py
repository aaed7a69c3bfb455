"""Gates: what dispatch knows of the limits that lanes wait behind.

Rule 1: dispatch admits no faster than the limit itself: it keeps a copy of the bucket, which is
        never fuller than the bucket in Redis was when it was last looked at.
Rule 2: the copy only decides who starts; what goes out is decided by the bucket, at the last
        moment. A copy that is wrong costs a batch that comes back, never a limit.
Rule 3: a lane may wait for several limits, of which one is enough: it has what they have together.
Rule 4: a limit that dispatch has never seen, or that is none any more, holds nobody back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from mta.limits.egress import Limits
from mta.spool.waiting import SEPARATOR

#: Units are given out this long before they are free: a batch is as long on its way to deliver,
#: which waits for them a little longer. Else they would be free before somebody is there, and a
#: dispatcher that wakes late would be late by as much each time.
LEAD_SECONDS = 0.2
#: Buckets are looked at anew after this, seconds.
LOOK_SECONDS = 0.25
#: A bucket that nobody asked for in this time is forgotten, seconds.
FORGET_SECONDS = 900.0
#: Batches a second that a limited lane is woken for, at most, where the rate gives more.
WAKES_PER_SECOND = 4.0


@dataclass(slots=True)
class Gate:
    """A copy of a bucket (GCRA): instants of the dispatcher's clock, seconds."""

    interval: float
    burst: int
    #: When the bucket is full again.
    full_at: float
    looked_at: float
    asked_at: float
    #: Seconds by which units are given out before they are free.
    lead: float

    def free(self, now: float) -> int:
        behind = max(self.full_at - now, 0.0) - self.lead
        return max(0, int(self.burst - behind / self.interval + 1e-6))

    def take(self, units: int, now: float) -> None:
        self.full_at = max(self.full_at, now) + units * self.interval

    def wait(self, units: int, now: float) -> float:
        """Seconds until so many units are free (at most `most`)."""
        more = min(units, self.most) - self.burst
        return max(0.0, max(self.full_at - now, 0.0) - self.lead + more * self.interval)

    @property
    def most(self) -> int:
        """Units that are free after a rest: the burst, and what comes within the lead."""
        return self.burst + int(self.lead / self.interval)


@dataclass(frozen=True, slots=True)
class Joint:
    """The limits that a lane waits for, any of them."""

    gates: tuple[Gate, ...]

    @property
    def interval(self) -> float:
        """Seconds per unit of all together."""
        return 1.0 / sum(1.0 / gate.interval for gate in self.gates)

    @property
    def quantum(self) -> int:
        """Units that are worth a batch."""
        most = sum(gate.most for gate in self.gates)
        return max(1, min(most, int(1.0 / self.interval / WAKES_PER_SECOND)))

    def free(self, now: float) -> int:
        return sum(gate.free(now) for gate in self.gates)

    def take(self, units: int, now: float) -> None:
        """Take units where there are most, or give (negative) ones back."""
        for gate in sorted(self.gates, key=lambda gate: gate.free(now), reverse=True):
            here = min(units, gate.free(now)) if units > 0 else units
            gate.take(here, now)
            units -= here
        if units > 0:
            self.gates[0].take(units, now)

    def wait(self, units: int, now: float) -> float:
        """Seconds until so many are free at one of them."""
        return min(gate.wait(units, now) for gate in self.gates)


class Gates:
    """All gates that lanes wait behind; belongs to one thread."""

    def __init__(
        self, limits: Limits, clock: Callable[[], float] = time.monotonic,
        lead: float = LEAD_SECONDS,
    ) -> None:  # fmt: skip
        self.limits, self.clock, self.lead = limits, clock, lead
        self.known: dict[str, Gate] = {}

    def look(self, gates: Collection[str]) -> None:
        """Bring the copies up to date, in one call. Raises redis.RedisError."""
        now = self.clock()
        keys = {key for gate in gates for key in gate.split(SEPARATOR)}
        stale = [
            key for key in keys
            if key not in self.known or now - self.known[key].looked_at > LOOK_SECONDS
        ]  # fmt: skip
        for key, level in self.limits.peek(stale).items():
            full_at = now + level.behind
            gate = self.known.get(key)
            if gate is None:
                self.known[key] = Gate(level.interval, level.burst, full_at, now, now, self.lead)
            else:
                gate.interval, gate.burst = level.interval, level.burst
                gate.full_at = max(gate.full_at, full_at)
        for key in stale:
            if key in self.known:
                self.known[key].looked_at = self.known[key].asked_at = now
        if stale:
            self.forget(now)

    def forget(self, now: float) -> None:
        idle = [key for key, gate in self.known.items() if now - gate.asked_at > FORGET_SECONDS]
        for key in idle:
            del self.known[key]

    def get(self, gate: str) -> Joint | None:
        """The limits of a gate; None when nothing is known to hold lanes back there."""
        found = tuple(self.known[key] for key in gate.split(SEPARATOR) if key in self.known)
        return Joint(found) if found else None
