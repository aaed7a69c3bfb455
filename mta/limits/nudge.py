"""A doorbell between processes: whoever adds work rings, whoever waits wakes within a millisecond.

Rule 1: many rings before a wait are one wake; the bell says "look", not how much there is.
Rule 2: taking the nudge and clearing it is one step (BLPOP), done before the work starts, so a
        ring during the work wakes again: no wake-up is lost.
Rule 3: who waits in vain leaves his question with the server: Redis looks at time-outs ten times a
        second only, and a lane that waits for a limit wants to be woken to the millisecond.
Rule 4: a nudge lost with Redis costs time, never mail: a sweep looks anyway.
"""

import time
from typing import Any

import redis

from mta.limits.scripts import load

#: A question is answered by the server after this at the latest; no socket time-out is so short.
_LONGEST_BLOCK = 5


class Nudge:
    """One bell, by name; any thread may ring it, one waits."""

    def __init__(
        self, client: redis.Redis, name: str = "dispatch", prefix: str = "mailmill:"
    ) -> None:
        self._client = client
        self._key = f"{prefix}nudge:{name}"
        self._ring = load(client, "ring")
        self._pool = client.connection_pool
        #: The connection on which a question waits for its answer.
        self._asked: Any = None

    def ring(self) -> None:
        """Wake one waiter now, or the next that waits."""
        self._ring(keys=[self._key])

    def wait(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds; True when rung. 0 or less only looks."""
        if timeout <= 0 and self._asked is None:
            return self._client.lpop(self._key) is not None
        deadline = time.monotonic() + max(timeout, 0.0)
        while True:
            if self._answered(max(0.0, deadline - time.monotonic())):
                return True
            if time.monotonic() >= deadline:
                return False

    def _answered(self, seconds: float) -> bool:
        """Ask, unless a question is out; whether the answer came within `seconds`: a ring."""
        try:
            if self._asked is None:
                self._asked = self._pool.get_connection()
                self._asked.send_command("BLPOP", self._key, _LONGEST_BLOCK)
            if not self._asked.can_read(timeout=seconds):
                return False
            rung = self._asked.read_response() is not None
        except BaseException:
            self._give_up()
            raise
        self._pool.release(self._asked)
        self._asked = None
        return rung

    def _give_up(self) -> None:
        """The connection is of no use any more."""
        if self._asked is not None:
            self._asked.disconnect()
            self._pool.release(self._asked)
            self._asked = None
