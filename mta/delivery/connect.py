"""A connection for an egress path: a kept one, or a new one to the first host that answers.

Rule 1: every open connection holds a lease on (source, site), given back when it is gone, and one
        of the places that this process has for connections.
Rule 2: a host that did not answer is asked last for a while; a host whose STARTTLS is broken is
        remembered and used without TLS, unless the path requires TLS.
Rule 3: belongs to the loop; only `leases` and `close` may be called from elsewhere.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable, Collection, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from mta.delivery import lessor
from mta.delivery.batch import Path
from mta.delivery.lessor import Lease, Lessor
from mta.limits.egress import Bucket, Limits, Slot
from mta.limits.memory import Memory
from mta.net.loop import LoopThread
from mta.net.pool import ConnectionPool
from mta.net.smtp import ConnectFailed, Connection, Target, Timeouts
from mta.net.smtp_auth import Login

T = TypeVar("T")
#: RFC-less practice: opportunistic TLS that broke is not tried again for three days.
BROKEN_TLS_SECONDS = 3 * 86_400
#: A host that did not answer is asked after the others for this long.
DEAD_SECONDS = 30.0
MOST_DEAD = 10_000
STOPS = "the worker stops"
#: RFC 8314 7.3: the port of message submission with TLS from the first byte.
IMPLICIT_TLS_PORT = 465
#: Source, site and what went wrong; called in a thread.
OnLoginRefused = Callable[[str, str, str], None]


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
    """Opens, keeps and closes the connections of one worker process, at most `most` at a time.

    `threads` ask Redis, so that the loop never waits for it.
    """

    def __init__(
        self, loop: LoopThread, limits: Limits, memory: Memory, *,
        port: int, tls_context: ssl.SSLContext | None, verified: ssl.SSLContext | None = None,
        most: int = 4000, threads: int = 8, on_login_refused: OnLoginRefused | None = None,
    ) -> None:  # fmt: skip
        self.loop, self.limits, self.memory = loop, limits, memory
        self.pool = ConnectionPool(on_closed=self.release, limit=most)
        self.lent: set[Connection] = set()
        self.port, self.tls_context, self.verified = port, tls_context, verified
        #: By source id; who begins a run puts them here before it (mta.delivery.smart_hosts).
        self.logins: dict[int, Login | None] = {}
        self.on_login_refused = on_login_refused
        self.opening: set[asyncio.Task[Connection]] = set()
        self.quitting: set[asyncio.Task[None]] = set()
        self.closing = False
        self.slots: dict[Connection, Lease] = {}
        self.most, self.places = most, asyncio.Semaphore(most)
        self.dead: dict[str, float] = {}
        self.threads = ThreadPoolExecutor(threads, thread_name_prefix="redis")
        self.lessor = Lessor(limits, self.ask, self.take_any)

    async def ask(self, question: Callable[..., T], *args: Any) -> T:
        """Run what blocks outside the loop."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, question, *args)

    def leases(self) -> list[Slot]:
        """The slots of the open connections, for the heartbeat; from any thread."""
        return [slot for lease in list(self.slots.values()) for slot in lease]

    async def get(self, path: Path) -> Connection | Refusal:
        """A connection with room for a message, or why there is none. Raises redis.RedisError."""
        refusal = Refusal("connect", "no host has an address that the source can reach", final=True)
        order = self.order(path)
        keys = [self.key(path, address) for _, address in order]
        for key, (host, address) in zip(keys, order, strict=True):
            got = self.take(key) or await self.lessor.wait(path, keys)
            if isinstance(got, Connection):
                return got
            if got is None:
                text = f"all {path.connections} connections from {path.source_name} are in use"
                return Refusal("limit", STOPS if self.lessor.stopped else text, final=True)
            opened = await self.under_lease(path, host, address, got)
            if isinstance(opened, Connection) or opened.stage == "limit":
                return opened
            refusal = opened
        return refusal

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

    async def under_lease(
        self, path: Path, host: str, address: str, lease: Lease
    ) -> Connection | Refusal:
        """Open a connection that holds `lease`, which goes back when none comes of it."""
        opened: Connection | Refusal | None = None
        placed = False
        try:
            placed = await self.place()
            if not placed:
                text = f"all {self.most} connections of this worker are in use"
                opened = Refusal("limit", f"{text} (MAILMILL_DELIVER_CONNECTIONS)", final=True)
            elif not await self.may_open(path):
                text = "the new connections of this minute are used up"
                opened = Refusal("limit", text, final=True)
            else:
                opened = await self.open(path, host, address)
            return opened
        finally:
            if isinstance(opened, Connection):
                self.slots[opened] = lease
                self.lend(opened)
            else:
                self.lessor.give_back(lease)
                if placed:
                    self.places.release()

    async def place(self) -> bool:
        """One of the process's places for a connection; an idle one is closed to make room."""
        if self.places.locked():
            self.pool.retire_oldest()
        try:
            async with asyncio.timeout(lessor.PATIENCE):
                return await self.places.acquire()
        except TimeoutError:
            return False

    async def may_open(self, path: Path) -> bool:
        """Take one new connection from the path's rate."""
        if not path.opens:
            return True
        buckets = [Bucket(*row) for row in path.opens]
        grant = await self.ask(partial(self.limits.take, 1, buckets=buckets))
        return grant.granted == 1

    async def open(self, path: Path, host: str, address: str) -> Connection | Refusal:
        """Connect to one host."""
        refused = ConnectFailed("local", None, STOPS)
        async for tls in self.tls_modes(path, host):
            try:
                opened = await self.connect(self.target(path, host, address, tls))
            except ConnectFailed as error:
                refused = error
            else:
                self.dead.pop(address, None)
                return opened
            if refused.stage != "starttls":
                break
            await self.ask(self.memory.remember, f"broken-tls:{host}", BROKEN_TLS_SECONDS)
        if refused.stage == "auth" and self.on_login_refused is not None:
            why = str(refused.reply or refused.text)
            await self.ask(self.on_login_refused, path.source_name, path.site, why)
        return self.refusal(host, address, refused)

    def target(self, path: Path, host: str, address: str, tls: str) -> Target:
        return Target(
            host=host,
            address=address,
            port=path.port or self.port,
            source_address=path.source_address,
            ehlo_name=path.ehlo_name,
            tls="required" if tls == "verified" else tls,
            tls_context=self.verified if tls == "verified" else self.tls_context,
            timeouts=Timeouts(*path.timeouts),
            implicit_tls=path.port == IMPLICIT_TLS_PORT,
            login=self.logins.get(path.source_id) if path.port else None,
        )

    def refusal(self, host: str, address: str, failed: ConnectFailed) -> Refusal:
        """What became of a host, which is remembered when it did not answer at all."""
        reply = failed.reply
        if self.closing:
            return Refusal("limit", STOPS, final=True)
        if reply is None and failed.stage == "connect":
            self.remember_dead(address)
        if failed.stage == "auth":
            # Nobody was asked about a recipient: the operator's trouble, and so temporary.
            said = f": {reply}" if reply else ""
            text = f"{host}: {failed.text}{said}"
            return Refusal("connect", text, host=host, address=address, final=True)
        return Refusal(
            stage=failed.stage,
            text=reply.text if reply else failed.text,
            code=reply.code if reply else 0,
            enhanced=reply.enhanced if reply else "",
            host=host,
            address=address,
            final=True,
        )

    def remember_dead(self, address: str) -> None:
        now = time.monotonic()
        if len(self.dead) >= MOST_DEAD:
            self.dead = {key: until for key, until in self.dead.items() if until > now}
        self.dead[address] = now + DEAD_SECONDS

    async def tls_modes(self, path: Path, host: str) -> AsyncIterator[str]:
        """TLS modes to try in turn."""
        if path.tls != "opportunistic" or path.port == IMPLICIT_TLS_PORT:
            yield path.tls
            return
        if not await self.ask(self.memory.recall, f"broken-tls:{host}"):
            yield "opportunistic"
        yield "none"

    async def connect(self, target: Target) -> Connection:
        """A new connection; ConnectFailed as it comes, and when we hang up."""
        if self.closing:
            raise ConnectFailed("local", None, STOPS)
        task = asyncio.ensure_future(Connection.open(target))
        self.opening.add(task)
        try:
            return await task
        except asyncio.CancelledError:
            if self.closing:
                raise ConnectFailed("local", None, STOPS) from None
            raise
        finally:
            self.opening.discard(task)

    def take(self, key: Hashable) -> Connection | None:
        """A kept connection."""
        connection = self.pool.take(key)
        if connection is not None:
            self.lend(connection)
        return connection

    def take_any(self, keys: Collection[Hashable]) -> Connection | None:
        """A kept connection under one of the keys, the first that has one."""
        return next(filter(None, map(self.take, keys)), None)

    def lend(self, connection: Connection) -> None:
        self.lent.add(connection)
        connection.on_lost(partial(self.release, connection))

    def put(self, path: Path, connection: Connection) -> None:
        """The run needs it no more: hand it on, keep it, or close it when it is used up."""
        key = self.key(path, connection.address)
        if not connection.usable:
            self.lent.discard(connection)
            connection.abort()
        elif connection.sent >= path.messages_per_connection or self.closing:
            self.lent.discard(connection)
            # Nobody waits for its QUIT; the set keeps the task alive.
            task = asyncio.ensure_future(connection.quit())
            self.quitting.add(task)
            task.add_done_callback(self.quitting.discard)
        elif not self.lessor.offer(path, key, connection):
            self.lent.discard(connection)
            self.pool.put(key, connection)

    def release(self, connection: Connection) -> None:
        """The connection is gone."""
        self.lent.discard(connection)
        lease = self.slots.pop(connection, None)
        if lease is not None:
            self.lessor.give_back(lease)
            self.places.release()

    def close(self) -> None:
        """End all connections now; a reply that is still awaited is not waited for."""
        self.loop.run(self.hang_up())

    async def hang_up(self) -> None:
        self.closing = True
        self.lessor.stop()
        for task in list(self.opening):
            task.cancel()
        lent = list(self.lent)
        for connection in lent:
            connection.abort()
        await self.pool.close()
        for connection in lent:
            await connection.gone()
        await self.lessor.all_returned()
