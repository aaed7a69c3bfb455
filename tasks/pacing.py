"""Pacing: when a lane that has just started a small batch may start the next.

On a system with little to do every recipient leaves at once. On a busy one a lane that trickles
would make a batch of each few recipients, and what a batch costs (a claim, four hops, a commit:
3 ms) would be paid for each of them; HOLD_SECONDS of patience share it between all that come
meanwhile.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

#: How long a lane waits for more after a small batch, while the system is busy.
HOLD_SECONDS = 0.05
#: Recipients started within the last second that make a busy system.
BUSY = 200
#: Shortest time between two rounds of a busy system.
REST_SECONDS = 0.02
#: Recipients a second with which a tenant still sends little.
LITTLE = 5
#: Lanes remembered, and tenants.
MOST_LANES = 20_000


@dataclass(slots=True)
class Started:
    """The last batch of a lane: when (of the clock), whether it was full, whether more was due."""

    at: float
    full: bool
    more: bool


class Pacing:
    """What dispatch remembers of the batches it started; belongs to one thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.lanes: dict[int, Started] = {}
        self.recent: deque[tuple[float, int]] = deque()
        self.recently = 0
        self.waiting: dict[int, float] = {}
        #: What each tenant has started in the second that began at an instant: (instant, count).
        self.tenants: dict[int, tuple[float, int]] = {}

    def started(self, lane_id: int, count: int, *, full: bool, more: bool) -> None:
        """A batch of `count` recipients of the lane is on its way."""
        now = self.clock()
        self.lanes.pop(lane_id, None)  # the youngest stand last
        self.lanes[lane_id] = Started(now, full, more)
        if len(self.lanes) > MOST_LANES:
            del self.lanes[next(iter(self.lanes))]
        self.recent.append((now, count))
        self.recently += count

    def light(self, tenant_id: int, count: int) -> bool:
        """Count what a tenant starts; whether it is little, within this second."""
        now = self.clock()
        began, before = self.tenants.get(tenant_id, (now, 0))
        if now - began >= 1.0:
            began, before = now, 0
        if len(self.tenants) >= MOST_LANES:
            self.tenants.clear()
        self.tenants[tenant_id] = (began, before + count)
        return before + count <= LITTLE

    def busy(self) -> bool:
        """Whether BUSY recipients were started within the last second."""
        since = self.clock() - 1.0
        while self.recent and self.recent[0][0] <= since:
            self.recently -= self.recent.popleft()[1]
        return self.recently >= BUSY

    def may_start(self, lane_id: int) -> bool:
        """Whether the lane need not wait for more; else it is remembered for `next_release`."""
        self.waiting.pop(lane_id, None)
        last = self.lanes.get(lane_id)
        if last is None or last.full or not self.busy():
            return True
        release = last.at + HOLD_SECONDS
        if release <= self.clock():
            return True
        self.waiting[lane_id] = release
        return False

    def has_more(self, lane_id: int) -> bool:
        """Whether the lane's last batch left something behind that was due."""
        last = self.lanes.get(lane_id)
        return last is not None and last.more

    def next_release(self) -> float:
        """Seconds until the first lane has waited long enough; infinite when none waits."""
        if not self.waiting:
            return float("inf")
        return max(0.001, min(self.waiting.values()) - self.clock())

    def rest(self) -> float:
        """Seconds to leave alone what rings meanwhile: a busy system is looked at less often."""
        return REST_SECONDS if self.busy() else 0.0
