"""Idle connections kept for the next batch to the same host from the same source.

Rule 1: a connection is either with its caller or here, never both; the most recently used is
        given out first, so that the others can grow old and leave.
Rule 2: `on_closed` is called once for each connection that ends while it is here, for whatever
        reason, and only when it is really gone: its lease counts until then.
Rule 3: belongs to one event loop, all methods are called in it.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable

from mta.net.smtp import Connection


class ConnectionPool:
    """Connections by key, usually (source_address, host), each for at most `idle_seconds`.

    With more than `limit` of them the one that waited longest is closed.
    """

    def __init__(
        self,
        *,
        idle_seconds: float = 10.0,
        limit: int = 2_000,
        on_closed: Callable[[Connection], None] | None = None,
    ) -> None:
        self._idle_seconds = idle_seconds
        self._limit = limit
        self._on_closed = on_closed
        self._timers: OrderedDict[Connection, asyncio.TimerHandle] = OrderedDict()
        self._by_key: dict[Hashable, list[Connection]] = {}
        self._keys: dict[Connection, Hashable] = {}
        self._quitting: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._timers)

    def idle(self) -> list[Connection]:
        """All that wait here, the longest first; for renewing their leases."""
        return list(self._timers)

    def take(self, key: Hashable) -> Connection | None:
        """A usable connection, now the caller's, or None."""
        waiting = self._by_key.get(key, ())
        for connection in reversed(waiting):
            if connection.usable:
                connection.on_lost(None)
                self._remove(connection)
                return connection
        return None

    def put(self, key: Hashable, connection: Connection) -> None:
        """Keep `connection` for the next who asks for `key`; one that is broken ends here."""
        loop = asyncio.get_running_loop()
        self._keys[connection] = key
        self._by_key.setdefault(key, []).append(connection)
        self._timers[connection] = loop.call_later(self._idle_seconds, self._retire, connection)
        connection.on_lost(lambda: self._lost(connection))
        if not connection.usable:
            connection.abort()
        elif len(self) > self._limit:
            self.retire_oldest()

    def retire_oldest(self) -> None:
        """Close the one that waited longest, when there is one."""
        if self._timers:
            self._retire(next(iter(self._timers)))

    async def close(self) -> None:
        """Say QUIT to all and wait until they are gone."""
        for connection in self.idle():
            self._retire(connection)
        while self._quitting:
            await asyncio.wait(self._quitting)

    def _retire(self, connection: Connection) -> None:
        self._remove(connection)
        task = asyncio.ensure_future(connection.quit())
        self._quitting.add(task)
        task.add_done_callback(self._quitting.discard)

    def _lost(self, connection: Connection) -> None:
        self._remove(connection)
        connection.on_lost(None)
        if self._on_closed is not None:
            self._on_closed(connection)

    def _remove(self, connection: Connection) -> None:
        timer = self._timers.pop(connection, None)
        if timer is None:
            return
        timer.cancel()
        key = self._keys.pop(connection)
        waiting = self._by_key[key]
        waiting.remove(connection)
        if not waiting:
            del self._by_key[key]
