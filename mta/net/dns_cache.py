"""A bounded cache of look-ups in one event loop: values and failures alike, each until its time.

Rule 1: look-ups of one key at one time are joined; a caller that gives up does not end it for the
        others.
Rule 2: the least recently used entry goes first.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Entry(Generic[T]):
    """What a look-up found, or the exception that tells why not; `expires_at` in seconds."""

    value: T | Exception
    expires_at: float

    def unwrap(self) -> T:
        """The value, or the error raised afresh (a shared traceback would grow for ever)."""
        if isinstance(self.value, Exception):
            raise self.value.with_traceback(None)
        return self.value


class JoinedCache(Generic[T]):
    """Entries by key; at most `size` of them."""

    def __init__(self, size: int, clock: Callable[[], float]) -> None:
        self._size = size
        self._clock = clock
        self._entries: OrderedDict[str, Entry[T]] = OrderedDict()
        self._loading: dict[str, asyncio.Task[Entry[T]]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    async def get(self, key: str, load: Callable[[], Awaitable[Entry[T]]]) -> Entry[T]:
        """The entry of `key`, loaded when there is none or it is over."""
        entry = self._entries.get(key)
        if entry is not None and entry.expires_at > self._clock():
            self._entries.move_to_end(key)
            return entry
        task = self._loading.get(key)
        if task is None:
            task = asyncio.ensure_future(self._load(key, load))
            self._loading[key] = task
            task.add_done_callback(lambda _: self._loading.pop(key, None))
        return await asyncio.shield(task)

    def peek(self, key: str) -> Entry[T] | None:
        """The entry that is here now; from any thread, as each step on the dict is atomic."""
        entry = self._entries.get(key)
        if entry is None or entry.expires_at <= self._clock():
            return None
        with suppress(KeyError):  # the loop has just let it go
            self._entries.move_to_end(key)
        return entry

    async def _load(self, key: str, load: Callable[[], Awaitable[Entry[T]]]) -> Entry[T]:
        entry = await load()
        self._entries[key] = entry
        self._entries.move_to_end(key)
        while len(self._entries) > self._size:
            self._entries.popitem(last=False)
        return entry
