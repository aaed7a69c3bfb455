"""A connection for an egress path: a kept one, or a new one to the first host that answers.

Rule 1: every open connection holds a lease on (source, site); it is given back when it closes.
Rule 2: a host that did not answer is asked last for a while; a host whose STARTTLS is broken is
        remembered and used without TLS, unless the path requires TLS.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import threading
import time
import uuid
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import redis

from mta.delivery.batch import Path
from mta.limits.egress import Bucket, Limits, Slot
from mta.limits.memory import Memory
from mta.net.loop import LoopThread
from mta.net.pool import ConnectionPool
from mta.net.smtp import ConnectFailed, Connection, Target, Timeouts

log = logging.getLogger(__name__)
T = TypeVar("T")
#: RFC-less practice: opportunistic TLS that broke is not tried again for three days.
BROKEN_TLS_SECONDS = 3 * 86_400
#: A host that did not answer is asked after the others for this long.
DEAD_SECONDS = 30.0
LEASE_SECONDS = 60.0
#: How long a thread waits for a connection of its own worker to become free.
SLOT_PATIENCE = 2.0
STOPS = "the worker stops"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why no connection could be had, or why one ended; stage "limit" is our own limit."""

    stage: str
    text: str
    code: int = 0
    enhanced: str = ""
    host: str = ""
    address: str = ""
    #: No host is left to ask now.
    final: bool = False


class Connector:
    """Opens, keeps and closes the connections of one worker process."""

    def __init__(
        self, loop: LoopThread, limits: Limits, memory: Memory, *,
        port: int, tls_context: ssl.SSLContext | None, verified: ssl.SSLContext | None = None,
    ) -> None:  # fmt: skip
        self.loop, self.limits, self.memory = loop, limits, memory
        #: Touched in the loop only.
        self.pool = ConnectionPool(on_closed=self.release)
        self.lent: set[Connection] = set()
        self.port, self.tls_context, self.verified = port, tls_context, verified
        self.opening: set[asyncio.Task[Any]] = set()
        self.quitting: set[asyncio.Task[None]] = set()
        self.closing = False
        self.slots: dict[int, Slot] = {}
        self.freed = threading.Condition()
        self.dead: dict[str, float] = {}
        # Redis is asked outside the loop, which must never wait for it.
        self.releaser = ThreadPoolExecutor(1, thread_name_prefix="release")

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run in the loop, wait in this thread."""
        return self.loop.run(work)

    def leases(self) -> list[Slot]:
        """The slots of the open connections, for the heartbeat."""
        return list(self.slots.values())

    def get(self, path: Path) -> Connection | Refusal:
        """A connection with room for a message, or why there is none."""
        refusal = Refusal("connect", "no host has an address that the source can reach", final=True)
        for host, address in self.order(path):
            kept = self.run(self.take(self.key(path, address)))
            if kept is not None:
                return kept
            if self.closing:
                break
            slot = self.wait_for_slot(path, self.key(path, address))
            if isinstance(slot, Connection):
                return slot
            if slot is None:
                text = f"all {path.connections} connections from {path.source_name} are in use"
                return Refusal("limit", text, final=True)
            if not self.may_open(path):
                self.give_slot_back(slot)
                text = f"{path.connections_per_minute} connections/min to the site are used up"
                return Refusal("limit", text, final=True)
            opened = self.open(path, host, address, slot)
            if isinstance(opened, Connection):
                return opened
            refusal = opened
        return Refusal("limit", STOPS, final=True) if self.closing else refusal

    def order(self, path: Path) -> list[tuple[str, str]]:
        """Hosts by preference, those that lately did not answer last; of the source's family."""
        pairs = [
            (host, address) for host, addresses in path.hosts for address in addresses
            if not path.source_address or (":" in address) == (":" in path.source_address)
        ]  # fmt: skip
        now = time.monotonic()
        return sorted(pairs, key=lambda pair: self.dead.get(pair[1], 0.0) > now)

    @staticmethod
    def key(path: Path, address: str) -> tuple[str, str]:
        # With the TLS mode: mail that wants TLS never goes down a kept connection without.
        return path.source_address, f"{path.source_name} {address} {path.tls}"

    def wait_for_slot(self, path: Path, key: tuple[str, str]) -> Slot | Connection | None:
        """A lease for a new connection, or a connection that came free meanwhile, or None."""
        slot = Slot(
            f"connections:{path.source_name}:{path.site}", path.connections, uuid.uuid4().hex,
            LEASE_SECONDS,
        )  # fmt: skip
        ends = time.monotonic() + SLOT_PATIENCE
        while True:
            if not self.limits.acquire([slot]):
                return slot
            left = ends - time.monotonic()
            if left <= 0:
                return None
            with self.freed:
                self.freed.wait(min(left, 0.25))
            kept = self.run(self.take(key))
            if kept is not None:
                return kept

    def may_open(self, path: Path) -> bool:
        """Take one new connection from the path's rate."""
        rate = path.connections_per_minute
        if not rate:
            return True
        bucket = Bucket(f"opens:{path.source_name}:{path.site}", rate / 60, rate)
        return self.limits.take(1, buckets=[bucket]).granted == 1

    def open(self, path: Path, host: str, address: str, slot: Slot) -> Connection | Refusal:
        """Connect to one host; the lease is given back when that fails."""
        failed = True
        try:
            for tls in self.tls_modes(path, host):
                opened = self.try_open(path, host, address, slot, tls)
                if isinstance(opened, Connection):
                    failed = False
                    self.dead.pop(address, None)
                    return opened
                refused = opened
                if refused.stage != "starttls":
                    break
                self.memory.remember(f"broken-tls:{host}", BROKEN_TLS_SECONDS)
        finally:
            if failed:
                self.releaser.submit(self.give_slot_back, slot)
        return self.refusal(host, address, refused)

    def try_open(
        self, path: Path, host: str, address: str, slot: Slot, tls: str
    ) -> Connection | ConnectFailed:
        target = Target(
            host=host,
            address=address,
            port=self.port,
            source_address=path.source_address,
            ehlo_name=path.ehlo_name,
            tls="required" if tls == "verified" else tls,
            tls_context=self.verified if tls == "verified" else self.tls_context,
            timeouts=Timeouts(*path.timeouts),
        )
        try:
            return self.run(self.connect(target, slot))
        except ConnectFailed as error:
            return error

    def refusal(self, host: str, address: str, failed: ConnectFailed) -> Refusal:
        """What became of a host, which is remembered when it did not answer at all."""
        reply = failed.reply
        if reply is None and failed.stage == "connect":
            self.dead[address] = time.monotonic() + DEAD_SECONDS
        return Refusal(
            stage=failed.stage,
            text=reply.text if reply else failed.text,
            code=reply.code if reply else 0,
            enhanced=reply.enhanced if reply else "",
            host=host,
            address=address,
            final=True,
        )

    def tls_modes(self, path: Path, host: str) -> Iterator[str]:
        """TLS modes to try in turn."""
        if path.tls != "opportunistic":
            yield path.tls
            return
        if not self.memory.recall(f"broken-tls:{host}"):
            yield "opportunistic"
        yield "none"

    async def connect(self, target: Target, slot: Slot) -> Connection:
        """A new connection under the lease; ConnectFailed as it comes, and when we hang up."""
        task = asyncio.current_task()
        if self.closing or task is None:
            raise ConnectFailed("local", None, STOPS)
        self.opening.add(task)
        try:
            connection = await Connection.open(target)
        except asyncio.CancelledError:
            if self.closing:
                raise ConnectFailed("local", None, STOPS) from None
            raise
        finally:
            self.opening.discard(task)
        self.slots[id(connection)] = slot
        self.lend(connection)
        return connection

    async def take(self, key: tuple[str, str]) -> Connection | None:
        """A kept connection."""
        connection = self.pool.take(key)
        if connection is not None:
            self.lend(connection)
        return connection

    def lend(self, connection: Connection) -> None:
        self.lent.add(connection)
        connection.on_lost(partial(self.release, connection))

    def put(self, path: Path, connection: Connection) -> None:
        """Keep the connection for the next batch, or close it when it is used up."""
        self.run(self.take_back(path, connection))
        with self.freed:
            self.freed.notify_all()

    async def take_back(self, path: Path, connection: Connection) -> None:
        self.lent.discard(connection)
        if not connection.usable:
            connection.abort()
        elif connection.sent < path.messages_per_connection and not self.closing:
            self.pool.put(self.key(path, connection.address), connection)
        else:  # nobody waits for its QUIT; the set keeps the task alive
            task = asyncio.ensure_future(connection.quit())
            self.quitting.add(task)
            task.add_done_callback(self.quitting.discard)

    def release(self, connection: Connection) -> None:
        """The connection is gone (called in the loop)."""
        self.lent.discard(connection)
        slot = self.slots.pop(id(connection), None)
        if slot is not None:
            self.releaser.submit(self.give_slot_back, slot)

    def give_slot_back(self, slot: Slot) -> None:
        try:
            self.limits.release([slot])
        except redis.RedisError as error:  # the lease ends by itself
            log.warning("lease not given back: %s", type(error).__name__)
        with self.freed:
            self.freed.notify_all()

    def close(self) -> None:
        """End all connections now; a reply that is still awaited is not waited for."""
        self.run(self.hang_up())

    async def hang_up(self) -> None:
        self.closing = True
        for task in list(self.opening):
            task.cancel()
        for connection in list(self.lent):
            connection.abort()
        await self.pool.close()
