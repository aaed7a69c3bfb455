"""Leases on connections: asked of Redis by one poller for each egress path, given out in order.

Rule 1: runs that wait for one egress path are served first come, first served, with a lease for a
        new connection or with a connection that another run needs no more.
Rule 2: while a path is full one question every RETRY_SECONDS serves all that wait; a lease that
        comes back from this process is asked for at once.
Rule 3: on a full path an idle connection to any host of it is better than none: hosts of equal
        preference come in changing order, and idle ones hold leases too.
Rule 4: a lease that nobody waits for any more goes back.
Rule 5: a connection may need several leases (of its site, of its provider): all of them or none.
Rule 6: everything here happens in the loop, which never waits for Redis.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Hashable
from dataclasses import dataclass, field
from typing import Any

import redis

from mta.delivery.batch import Path
from mta.limits.egress import Limits, Slot
from mta.net.smtp import Connection

log = logging.getLogger(__name__)
LEASE_SECONDS = 60.0
#: How long a run waits for a connection of an egress path that is full.
PATIENCE = 2.0
#: How long a full path is taken to be full, unless a lease comes back here.
RETRY_SECONDS = 0.25
#: Leases asked for in one question.
MOST_AT_ONCE = 200
MOST_REMEMBERED = 1000

#: What one connection leases.
Lease = tuple[Slot, ...]
Got = Lease | Connection | None
Keys = Collection[Hashable]


@dataclass(slots=True, eq=False)
class Waiter:
    """A run that waits; `keys` and `most` say which kept connection it could use."""

    keys: Keys
    most: int
    got: asyncio.Future[Got]
    timer: asyncio.TimerHandle | None = None


@dataclass(slots=True)
class Queue:
    """Those who wait for one egress path."""

    name: str
    #: (key, limit) of what a connection needs; the first names the queue.
    needs: tuple[tuple[str, int], ...]
    waiters: deque[Waiter] = field(default_factory=deque)
    #: Set when a lease was given back here.
    freed: asyncio.Event = field(default_factory=asyncio.Event)

    def first(self) -> Waiter | None:
        """Who came first of those who still wait."""
        while self.waiters:
            if not self.waiters[0].got.done():
                return self.waiters[0]
            self.waiters.popleft()
        return None


class Lessor:
    """The leases of one worker process.

    `ask` runs a blocking question outside the loop, `kept` takes an idle connection under one of
    the keys.
    """

    def __init__(
        self, limits: Limits, ask: Callable[..., Awaitable[Any]],
        kept: Callable[[Keys], Connection | None],
    ) -> None:  # fmt: skip
        self.limits, self.ask, self.kept = limits, ask, kept
        self.queues: dict[str, Queue] = {}
        #: Loop time until which a path is taken to be full.
        self.full: dict[str, float] = {}
        self.returned: list[Lease] = []
        self.returning: asyncio.Task[None] | None = None
        self.pollers: set[asyncio.Task[None]] = set()
        self.stopped = False

    async def wait(self, path: Path, keys: Keys) -> Got:
        """A lease for a new connection, a connection under one of `keys`, or None.

        None: there was neither within PATIENCE, or the worker stops. Raises redis.RedisError.
        """
        if self.stopped:
            return None
        got: asyncio.Future[Got] = asyncio.get_running_loop().create_future()
        waiter = Waiter(keys, path.messages_per_connection, got)
        queue = self.queue(slot_key(path), needs(path))
        queue.waiters.append(waiter)
        if queue.name in self.full:
            self.serve_kept(waiter)
        self.give_up_later(queue, waiter)
        try:
            return await waiter.got
        except asyncio.CancelledError:
            self.regret(waiter)
            raise
        finally:
            if waiter.timer is not None:
                waiter.timer.cancel()

    def give_up_later(self, queue: Queue, waiter: Waiter) -> None:
        loop = asyncio.get_running_loop()
        waiter.timer = loop.call_later(PATIENCE, self.give_up, queue, waiter)

    def give_up(self, queue: Queue, waiter: Waiter) -> None:
        """The waiter's patience ended; it counts only against a path that is known to be full.

        2,000 runs that began at once with TLS to a site kept the loop busy for longer than that.
        """
        if waiter.got.done():
            return
        if queue.name in self.full:
            waiter.got.set_result(None)
        else:
            self.give_up_later(queue, waiter)

    def queue(self, name: str, needed: tuple[tuple[str, int], ...]) -> Queue:
        """The queue of one path, and who serves it; what is needed may have changed."""
        found = self.queues.get(name)
        if found is not None:
            found.needs = needed
        else:
            found = self.queues[name] = Queue(name, needed)
            if self.full.get(name, 0.0) <= asyncio.get_running_loop().time():
                self.full.pop(name, None)
            task = asyncio.ensure_future(self.serve(found))
            self.pollers.add(task)
            task.add_done_callback(self.pollers.discard)
        return found

    def regret(self, waiter: Waiter) -> None:
        """The waiter was cancelled, perhaps when it had been served already."""
        got = waiter.got.result() if waiter.got.done() and not waiter.got.cancelled() else None
        if isinstance(got, Connection):
            got.abort()
        elif got is not None:
            self.give_back(got)

    def offer(self, path: Path, key: Hashable, connection: Connection) -> bool:
        """Hand a connection that came free to the first who can use it; whether somebody could."""
        queue = self.queues.get(slot_key(path))
        for waiter in queue.waiters if queue is not None else ():
            if not waiter.got.done() and key in waiter.keys and connection.sent < waiter.most:
                waiter.got.set_result(connection)
                return True
        return False

    async def serve(self, queue: Queue) -> None:
        """Ask for leases until nobody waits; trouble with Redis is told to all who do."""
        try:
            while queue.first() is not None:
                await self.until_due(queue)
                waiting = sum(not waiter.got.done() for waiter in queue.waiters)
                if waiting:
                    most = max(1, min(limit for _, limit in queue.needs))
                    await self.lease(queue, min(waiting, most, MOST_AT_ONCE))
        except Exception as error:  # each run that waits is its own edge: it logs and goes back
            for waiter in queue.waiters:
                if not waiter.got.done():
                    waiter.got.set_exception(error)
        finally:
            del self.queues[queue.name]

    async def until_due(self, queue: Queue) -> None:
        """Wait while the path is known to be full."""
        left = self.full.get(queue.name, 0.0) - asyncio.get_running_loop().time()
        if left <= 0:
            return
        queue.freed.clear()
        try:
            async with asyncio.timeout(left):
                await queue.freed.wait()
        except TimeoutError:
            return

    async def lease(self, queue: Queue, count: int) -> None:
        """Ask for `count` leases at once and hand out what comes."""
        leases = [lease_of(queue.needs) for _ in range(count)]
        queue.freed.clear()
        leased = await self.ask(self.acquired, leases)
        for lease in leased:
            waiter = queue.first()
            if waiter is None:
                self.give_back(lease)
            else:
                waiter.got.set_result(lease)
        if len(leased) == count:
            self.full.pop(queue.name, None)
        elif not queue.freed.is_set():
            # Once: what becomes idle later is offered to those who wait.
            if queue.name not in self.full:
                for waiter in queue.waiters:
                    self.serve_kept(waiter)
            self.remember_full(queue.name)

    def serve_kept(self, waiter: Waiter) -> None:
        """An idle connection for one who waits for a full path."""
        kept = None if waiter.got.done() else self.kept(waiter.keys)
        if kept is not None:
            waiter.got.set_result(kept)

    def acquired(self, leases: list[Lease]) -> list[Lease]:
        """Those that could be had."""
        full = self.limits.acquire_each(leases)
        return [lease for lease, key in zip(leases, full, strict=True) if not key]

    def remember_full(self, name: str) -> None:
        now = asyncio.get_running_loop().time()
        if len(self.full) >= MOST_REMEMBERED:
            self.full = {key: until for key, until in self.full.items() if until > now}
        self.full[name] = now + RETRY_SECONDS

    def give_back(self, lease: Lease) -> None:
        """End a lease; those that end together are told to Redis together."""
        self.returned.append(lease)
        if self.returning is None:
            self.returning = asyncio.ensure_future(self.tell_returned())

    async def tell_returned(self) -> None:
        try:
            while self.returned:
                leases, self.returned = self.returned, []
                slots = [slot for lease in leases for slot in lease]
                try:
                    await self.ask(self.limits.release, slots)
                except redis.RedisError as error:  # the leases end by themselves
                    log.warning("leases not given back: %s", type(error).__name__)
                self.have_room({slot.key for slot in slots})
        finally:
            self.returning = None

    def have_room(self, keys: set[str]) -> None:
        """Leases under these keys came back: who waits for one is asked for at once."""
        for queue in self.queues.values():
            if any(key in keys for key, _ in queue.needs):
                self.full.pop(queue.name, None)
                queue.freed.set()
        for key in keys:
            self.full.pop(key, None)

    async def all_returned(self) -> None:
        """Wait until Redis knows of every lease that was given back."""
        while self.returning is not None:
            await asyncio.wait({self.returning})

    def stop(self) -> None:
        """Nobody waits any more, and nobody begins to."""
        self.stopped = True
        for queue in self.queues.values():
            queue.freed.set()
            for waiter in queue.waiters:
                if not waiter.got.done():
                    waiter.got.set_result(None)


def slot_key(path: Path) -> str:
    """The queue in which runs wait for connections of an egress path."""
    return needs(path)[0][0]


def needs(path: Path) -> tuple[tuple[str, int], ...]:
    """(key, limit) of what a connection of the path leases."""
    own = (f"connections:{path.source_name}:{path.site}", path.connections)
    return path.slots or (own,)


def lease_of(needed: tuple[tuple[str, int], ...]) -> Lease:
    """A lease that nobody has yet."""
    holder = uuid.uuid4().hex
    return tuple(Slot(key, limit, holder, LEASE_SECONDS) for key, limit in needed)
