"""Gathering: what ends one by one in an event loop goes on in groups, through one thread.

Rule 1: `put` never blocks and may be called from the loop.
Rule 2: an item alone goes on at once; while many come, those of LINGER_SECONDS go together.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
LINGER_SECONDS = 0.005
#: Most items of one group.
MOST_TOGETHER = 32


class Gatherer(threading.Thread, Generic[T]):
    """Calls `work` with groups of what was put; `work` deals with its own errors."""

    def __init__(self, name: str, work: Callable[[list[T]], None]) -> None:
        super().__init__(name=name, daemon=True)
        self.work = work
        self.items: queue.SimpleQueue[T] = queue.SimpleQueue()
        self.worked_at = float("-inf")
        self.pending = 0
        self.changed = threading.Condition()

    def put(self, item: T) -> None:
        with self.changed:
            self.pending += 1
        self.items.put(item)

    def run(self) -> None:
        while True:
            group = self.gather()
            self.work(group)
            self.worked_at = time.monotonic()
            with self.changed:
                self.pending -= len(group)
                self.changed.notify_all()

    def flush(self, timeout: float) -> bool:
        """Whether everything that was put has been worked on, after at most `timeout` seconds."""
        with self.changed:
            return self.changed.wait_for(lambda: self.pending == 0, timeout)

    def gather(self) -> list[T]:
        """The next item, and those that come with it."""
        found = [self.items.get()]
        if time.monotonic() - self.worked_at < 4 * LINGER_SECONDS:
            time.sleep(LINGER_SECONDS)
        while len(found) < MOST_TOGETHER and not self.items.empty():
            found.append(self.items.get())
        return found
