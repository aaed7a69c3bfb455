"""Answers of the database for the event loop: read in threads, remembered for a few seconds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

log = logging.getLogger(__name__)

#: More answers than this are forgotten all at once; a busy listener has a few hundred.
MAX_REMEMBERED = 10_000

Then = Callable[[Any], None]


class Failed:
    """The database could not be asked; stands in the place of an answer."""


class Lookups:
    """One per event loop; all methods are called on the loop's thread."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, *, keep_seconds: float = 3.0, threads: int = 4
    ) -> None:
        self._loop = loop
        self._keep_seconds = keep_seconds
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="lookup")
        self._known: dict[Hashable, tuple[float, Any]] = {}
        self._asked: dict[Hashable, list[Then]] = {}

    def ask(self, key: Hashable, read: Callable[[], Any], then: Then) -> None:
        """Call then with what read() returns, at once when it is known.

        A positive answer is remembered; None, False and a failure are asked again each time, so
        that what was just created is found. Sessions that ask the same share one read.
        """
        found = self.known(key)
        if found is not None:
            then(found)
            return
        waiting = self._asked.get(key)
        if waiting is not None:
            waiting.append(then)
            return
        self._asked[key] = [then]
        future = self._threads.submit(read)
        future.add_done_callback(lambda done: self._hand_over(key, done))

    def run(self, work: Callable[[], Any], then: Then) -> None:
        """Call then with what work() returns, or with Failed; nothing is shared or remembered."""

        def hand_over(done: Future[Any]) -> None:
            if not done.cancelled():
                self._loop.call_soon_threadsafe(answered, done)

        def answered(done: Future[Any]) -> None:
            error = done.exception()
            if error:
                log.error("a thread's work failed", exc_info=error)
            then(Failed() if error else done.result())

        self._threads.submit(work).add_done_callback(hand_over)

    def known(self, key: Hashable) -> Any:
        """The answer that is remembered, or None."""
        found = self._known.get(key)
        return found[1] if found is not None and found[0] > self._loop.time() else None

    def close(self) -> None:
        """Wait for reads under way; nothing may be asked afterwards."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _hand_over(self, key: Hashable, done: Future[Any]) -> None:
        if not done.cancelled():
            self._loop.call_soon_threadsafe(self._answered, key, done)

    def _answered(self, key: Hashable, done: Future[Any]) -> None:
        error = done.exception()
        answer = Failed() if error else done.result()
        if error:
            log.error("look-up failed", exc_info=error)
        elif answer:
            if len(self._known) >= MAX_REMEMBERED:
                self._known.clear()
            self._known[key] = (self._loop.time() + self._keep_seconds, answer)
        for then in self._asked.pop(key):
            then(answer)
