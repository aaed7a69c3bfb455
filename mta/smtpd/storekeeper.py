"""Group commit: messages that wait at the same time are stored in one transaction.

Rule 1: a session hears "stored" only after the transaction that holds its message was committed.
Rule 2: a message that cannot be stored does not take others with it: the group is halved until it
        stands alone.
Rule 3: every message handed in is answered, also when the database is gone.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from mta.smtpd.submission import Submission

log = logging.getLogger(__name__)

#: Longest wait for a fuller group, seconds.
MAX_LINGER: Final = 0.005

Store = Callable[[Sequence[Submission]], None]
#: Called on the loop's thread with None, or with what went wrong.
Then = Callable[[Exception | None], None]
Waiting = tuple[Submission, Then]


class NotTried(Exception):
    """The time for storing a group was over before this message's turn came."""


class Storekeeper:
    """One thread that stores; sessions hand in on the event loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        store: Store,
        *,
        largest_group: int = 200,
        largest_bytes: int = 33_554_432,
        patience: float = 10.0,
    ) -> None:
        self._loop = loop
        self._store = store
        self._largest_group = largest_group
        self._largest_bytes = largest_bytes
        self._patience = patience
        #: Handed in during this turn of the loop; one wake-up of the thread for all of them.
        self._handed_in: list[Waiting] = []
        #: From the loop to the thread; None: time to stop.
        self._queue: queue.SimpleQueue[list[Waiting] | None] = queue.SimpleQueue()
        #: The thread's own.
        self._waiting: deque[Waiting] = deque()
        self._stopping = False
        #: Of the last group: messages, and seconds that storing took.
        self._last_size = 0
        self._last_seconds = 0.0
        #: How many transactions there were; messages / groups is the gain.
        self.groups = 0
        self._thread = threading.Thread(target=self._run, name="storekeeper", daemon=True)
        self._thread.start()

    def submit(self, submission: Submission, then: Then) -> None:
        """Store it with whatever else waits, then call then on the loop."""
        if not self._handed_in:
            self._loop.call_soon(self._hand_over)
        self._handed_in.append((submission, then))

    def finish(self) -> None:
        """Store what was handed in, then stop; nothing may be submitted afterwards."""
        self._hand_over()
        self._queue.put(None)

    def join(self, timeout: float) -> bool:
        """Wait for the end, on any thread; False when it took longer than timeout seconds."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _hand_over(self) -> None:
        if self._handed_in:
            self._queue.put(self._handed_in)
            self._handed_in = []

    def _run(self) -> None:
        while group := self._collect():
            begun_at = time.monotonic()
            outcomes = self._store_group(group)
            self._last_size, self._last_seconds = len(group), time.monotonic() - begun_at
            try:
                self._loop.call_soon_threadsafe(tell, outcomes)
            except RuntimeError:  # the loop was closed: the clients are gone, their mail is safe
                log.warning("%d messages stored after their sessions ended", len(outcomes))

    def _collect(self) -> list[Waiting]:
        """Wait for the next group; empty: time to stop."""
        while not self._waiting and not self._stopping:
            self._receive(None)
        while not self._queue.empty():
            self._receive(None)
        self._linger()
        group: list[Waiting] = []
        size = 0
        while self._waiting and len(group) < self._largest_group:
            size += len(self._waiting[0][0].content)
            if group and size > self._largest_bytes:
                break
            group.append(self._waiting.popleft())
        return group

    def _linger(self) -> None:
        """Sessions that were answered together come back together: wait for the rest of them.

        Without it 20 sessions fall into two groups that wait for each other's commit.
        """
        give_up_at = time.monotonic() + min(self._last_seconds / 4, MAX_LINGER)
        while len(self._waiting) < self._last_size and not self._stopping:
            left = give_up_at - time.monotonic()
            if left <= 0 or not self._receive(left):
                return

    def _receive(self, timeout: float | None) -> bool:
        """Take what the loop hands over; False when nothing came within timeout seconds."""
        try:
            arrived = self._queue.get(timeout=timeout)
        except queue.Empty:
            return False
        if arrived is None:
            self._stopping = True
        else:
            self._waiting.extend(arrived)
        return True

    def _store_group(self, group: list[Waiting]) -> list[tuple[Then, Exception | None]]:
        """Store halves of a group that fails, until patience (seconds) is at its end."""
        give_up_at = time.monotonic() + self._patience
        outcomes: list[tuple[Then, Exception | None]] = []
        parts = [group]
        while parts:
            part = parts.pop()
            error = self._try(part) if time.monotonic() < give_up_at else NotTried()
            if error is None or len(part) == 1 or isinstance(error, NotTried):
                outcomes.extend((then, error) for _, then in part)
            else:
                middle = len(part) // 2
                parts += [part[middle:], part[:middle]]
        return outcomes

    def _try(self, part: list[Waiting]) -> Exception | None:
        self.groups += 1
        try:
            self._store([submission for submission, _ in part])
        except Exception as error:  # the edge of the thread: whatever it was, sessions get a 451
            log.exception("storing %d messages failed", len(part))
            return error
        return None


def tell(outcomes: Sequence[tuple[Then, Exception | None]]) -> None:
    """Answer the sessions of one group."""
    for then, error in outcomes:
        then(error)
