"""One uvloop in a thread of its own, for threads that want something done there.

Rule 1: all connections of a process live in this one loop; a slow receiver holds up nobody else.
Rule 2: a forked child starts its own: threads do not survive a fork.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")


class LoopThread:
    """`start`, then `run` or `call` from any thread, then `stop`."""

    def __init__(self, name: str = "net") -> None:
        self._name = name
        self._lock = threading.Lock()
        self._pid = 0
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None

    @property
    def running(self) -> bool:
        """Whether `run` can be called in this process."""
        alive = self._thread is not None and self._thread.is_alive()
        return alive and self._pid == os.getpid()

    def start(self) -> None:
        """Start the loop; nothing happens when it runs already."""
        with self._lock:
            if self.running:
                return
            ready = threading.Event()
            self._thread = threading.Thread(
                target=self._main, args=(ready,), name=self._name, daemon=True
            )
            self._pid = os.getpid()
            self._thread.start()
            ready.wait()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """The result of `coroutine`, run in the loop while this thread waits.

        Raises what it raises; CancelledError when the loop is stopped meanwhile; RuntimeError when
        the loop does not run, or when called from the loop itself, which could only wait for ever.
        """
        loop = self._loop
        if not self.running or loop is None or threading.current_thread() is self._thread:
            coroutine.close()
            raise RuntimeError(f"loop thread {self._name!r} is not running, or is the caller")
        future = asyncio.run_coroutine_threadsafe(coroutine, loop)
        try:
            return future.result()
        except BaseException:
            # The waiting thread was interrupted: nobody wants the result any more.
            future.cancel()
            raise

    def call(self, callback: Callable[..., object], *args: object) -> None:
        """Have `callback(*args)` called in the loop soon; waits for nothing.

        RuntimeError when the loop does not run.
        """
        loop = self._loop
        if not self.running or loop is None:
            raise RuntimeError(f"loop thread {self._name!r} is not running")
        loop.call_soon_threadsafe(callback, *args)

    def stop(self, seconds: float = 10.0) -> None:
        """Cancel what runs, end the loop, and wait for the thread at most `seconds`."""
        with self._lock:
            thread, loop, stopping = self._thread, self._loop, self._stopping
            if self.running and thread and loop and stopping:
                loop.call_soon_threadsafe(stopping.set)
                thread.join(seconds)
            self._thread = self._loop = self._stopping = None

    def _main(self, ready: threading.Event) -> None:
        # On its way out the Runner cancels every task that is left and waits for them.
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve(ready))

    async def _serve(self, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = stopping = asyncio.Event()
        ready.set()
        await stopping.wait()
