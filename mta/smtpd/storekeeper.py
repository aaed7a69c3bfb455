"""Group commit: messages that wait at the same time are stored in one transaction.

Rule 1: a session hears "stored" only after the transaction that holds its message was committed.
Rule 2: a message that cannot be stored does not take others with it: the group is halved until it
        stands alone.
Rule 3: every message handed in is answered, also when the database is gone.
Rule 4: a message that is alone is stored at once; while a group is being stored the next gathers.
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

#: Longest wait for a fuller group after one was stored, seconds.
MAX_LINGER: Final = 0.005

Store = Callable[[Sequence[Submission]], None]
#: Called on the loop's thread with None, or with what went wrong.
Then = Callable[[Exception | None], None]
Waiting = tuple[Submission, Then]
Outcome = tuple[Then, Exception | None]


class NotTried(Exception):
    """The time for storing a group was over before this message's turn came."""


class Storekeeper:
    """One thread that stores; everything else happens on the event loop's thread.

    The loop makes the groups, so that the thread is woken once a group and not once a message:
    each wake-up makes two threads fight for the interpreter.
    """

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
        self._waiting: deque[Waiting] = deque()
        #: The thread has a group.
        self._storing = False
        #: A look at what waits is planned: for the end of this turn, or for when lingering ends.
        self._planned: asyncio.Handle | None = None
        self._lingering = False
        #: So many messages may come at once, those just answered and those that waited then;
        #: and until when that is worth waiting for, in loop time.
        self._expected = 0
        self._expected_until = 0.0
        #: None: time to stop.
        self._groups: queue.SimpleQueue[list[Waiting] | None] = queue.SimpleQueue()
        #: How many transactions there were; messages / groups is the gain.
        self.groups = 0
        self._thread = threading.Thread(target=self._run, name="storekeeper", daemon=True)
        self._thread.start()

    def submit(self, submission: Submission, then: Then) -> None:
        """Store it with whatever else waits, then call then on the loop."""
        self._waiting.append((submission, then))
        if self._storing:
            return
        if self._planned is None or (self._lingering and len(self._waiting) >= self._expected):
            self._plan()

    def finish(self) -> None:
        """Store what was handed in, then stop; nothing may be submitted afterwards."""
        while self._waiting:
            self._hand_over()
        self._groups.put(None)

    def join(self, timeout: float) -> bool:
        """Wait for the end, on any thread; False when it took longer than timeout seconds."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _plan(self) -> None:
        """Hand over at the end of this turn, or wait a moment for those who are expected.

        Sessions that were answered together come back together. Without the moment 20 sessions
        fall into groups that wait for each other's commit.
        """
        if self._planned is not None:
            self._planned.cancel()
        left = self._expected_until - self._loop.time()
        self._lingering = left > 0 and len(self._waiting) < self._expected
        if self._lingering:
            self._planned = self._loop.call_later(left, self._hand_over)
        else:
            self._planned = self._loop.call_soon(self._hand_over)

    def _hand_over(self) -> None:
        """Give the thread the next group, as large as it may be."""
        if self._planned is not None:
            self._planned.cancel()
        self._planned, self._lingering = None, False
        group: list[Waiting] = []
        size = 0
        while self._waiting and len(group) < self._largest_group:
            size += len(self._waiting[0][0].content)
            if group and size > self._largest_bytes:
                break
            group.append(self._waiting.popleft())
        if group:
            self._storing = True
            self._groups.put(group)

    def _stored(self, outcomes: Sequence[Outcome], seconds: float) -> None:
        """Answer the sessions of a group that took so long to store; the next may go."""
        self._storing = False
        self._expected = min(len(outcomes) + len(self._waiting), self._largest_group)
        self._expected_until = self._loop.time() + min(seconds / 2, MAX_LINGER)
        if self._waiting:
            self._plan()
        for then, error in outcomes:
            then(error)

    def _run(self) -> None:
        while (group := self._groups.get()) is not None:
            begun_at = time.monotonic()
            outcomes = self._store_group(group)
            try:
                self._loop.call_soon_threadsafe(self._stored, outcomes, time.monotonic() - begun_at)
            except RuntimeError:  # the loop was closed: the clients are gone, their mail is safe
                log.warning("%d messages stored after their sessions ended", len(outcomes))

    def _store_group(self, group: list[Waiting]) -> list[Outcome]:
        """Store halves of a group that fails, until patience (seconds) is at its end."""
        give_up_at = time.monotonic() + self._patience
        outcomes: list[Outcome] = []
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
