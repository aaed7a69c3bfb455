"""Answers that are kept for a while, so that a page watched by many costs the database little.

An answer is computed by one thread at a time and kept for `least` seconds, or for SHARE times what
computing it took: however big the spool, at most 1/SHARE of one core goes into it.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")
SHARE = 20
#: Answers of different questions kept at once.
ROOM = 256


@dataclass(slots=True)
class Slot:
    """One question's last answer."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    value: Any = None
    fresh_until: float = 0.0
    known: bool = False


class Kept:
    """A bounded set of answers by question."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.slots: OrderedDict[Hashable, Slot] = OrderedDict()
        self.lock = threading.Lock()

    def get(self, question: Hashable, compute: Callable[[], T], *, least: float) -> T:
        """The kept answer, or a new one; while another thread computes, the old one."""
        with self.lock:
            slot = self.slots.setdefault(question, Slot())
            self.slots.move_to_end(question)
            while len(self.slots) > ROOM:
                self.slots.popitem(last=False)
        if slot.known and self.clock() < slot.fresh_until:
            return slot.value  # type: ignore[no-any-return]  # what compute() of this question gave
        if not slot.lock.acquire(blocking=not slot.known):
            return slot.value  # type: ignore[no-any-return]  # as above
        try:
            if not slot.known or self.clock() >= slot.fresh_until:
                started = self.clock()
                slot.value = compute()
                ended = self.clock()
                slot.fresh_until = ended + max(least, SHARE * (ended - started))
                slot.known = True
            return slot.value  # type: ignore[no-any-return]  # as above
        finally:
            slot.lock.release()

    def forget(self) -> None:
        """Drop every answer."""
        with self.lock:
            self.slots.clear()


kept = Kept()
