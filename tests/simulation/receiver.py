"""Receivers with a limit that nobody is told: so many messages in a window, 421 beyond."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Receiver:
    """Takes `limit` messages a window; instants in seconds.

    `kind`: "fixed" counts by the clock, "sliding" looks back over one window, "strict" is sliding
    and counts what it refuses as well.
    """

    limit: int
    kind: str = "fixed"
    window: float = 60.0
    #: Spans in which everything is refused.
    blocks: Sequence[tuple[float, float]] = ()
    #: (instant, new limit), in order.
    changes: Sequence[tuple[float, int]] = ()
    taken: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    lately: deque[float] = field(default_factory=deque)
    period: int = -1
    in_period: int = 0

    def permitted(self, now: float) -> int:
        found = self.limit
        for at, limit in self.changes:
            if now >= at:
                found = limit
        return found

    def offer(self, now: float) -> bool:
        """Whether the message is taken."""
        blocked = any(begin <= now < end for begin, end in self.blocks)
        good = not blocked and self.has_room(now)
        (self.taken if good else self.refused).append(now)
        return good

    def has_room(self, now: float) -> bool:
        limit = self.permitted(now)
        if self.kind == "fixed":
            period = int(now // self.window)
            if period != self.period:
                self.period, self.in_period = period, 0
            if self.in_period >= limit:
                return False
            self.in_period += 1
            return True
        while self.lately and self.lately[0] <= now - self.window:
            self.lately.popleft()
        room = len(self.lately) < limit
        if room or (self.kind == "strict" and len(self.lately) < 2 * limit):
            self.lately.append(now)
        return room
