"""A doorbell between processes: whoever adds work rings, whoever waits wakes within a millisecond.

Rule 1: many rings before a wait are one wake; the bell says "look", not how much there is.
Rule 2: taking the nudge and clearing it is one step (BLPOP), done before the work starts, so a
        ring during the work wakes again: no wake-up is lost.
Rule 3: a nudge lost with Redis costs time, never mail: a sweep looks anyway.
"""

import time
from typing import Any

import redis

from mta.limits.scripts import load

#: One blocking call lasts no longer than this, well below any socket time-out of the client.
_LONGEST_BLOCK = 5.0


class Nudge:
    """One bell, by name."""

    def __init__(
        self, client: redis.Redis, name: str = "dispatch", prefix: str = "mailmill:"
    ) -> None:
        self._client = client
        self._key = f"{prefix}nudge:{name}"
        self._ring = load(client, "ring")

    def ring(self) -> None:
        """Wake one waiter now, or the next that waits."""
        self._ring(keys=[self._key])

    def wait(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds; True when rung. 0 or less only looks."""
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            # BLPOP reads 0 as for ever.
            rung: Any = self._client.blpop(
                [self._key], timeout=min(max(left, 0.001), _LONGEST_BLOCK)
            )
            if rung is not None:
                return True
        return self._client.lpop(self._key) is not None
