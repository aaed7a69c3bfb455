"""The bytes of one outgoing SMTP connection, cut into replies; no knowledge of mail transactions.

Rule 1: aiosmtplib's protocol waits for one reply per command; here any number of replies may be
        outstanding (RFC 2920), and `expected` counts them.
Rule 2: a reply nobody asked for is never paired with a later command: it breaks the connection.
        All that came in one read is counted before any of it is acted on.
Rule 3: the first fault is kept, the transport is aborted, and replies read before it stay readable.
Rule 4: a listener is called for each read, without a future or a task; while there is none, the
        one who opens the connection waits for replies one by one.
Rule 5: one timer a connection: it is set when nothing earlier is set, and looks when it rings
        whether the peer's time has been lengthened meanwhile.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from typing import Protocol, cast

from aiosmtplib.protocol import SMTPProtocol
from aiosmtplib.response import SMTPResponse

from mta.mail.reply import Reply, ReplyError, ReplyParser

NEVER = float("inf")
#: What timers may be early: uvloop counts milliseconds.
SLACK = 0.002


class ConnectionBroken(Exception):
    """The connection can carry nothing more; `reply` is what the peer said unasked (421, 552)."""

    def __init__(self, text: str, reply: Reply | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.reply = reply


class Listener(Protocol):
    """Who acts on replies as they come."""

    def advance(self) -> None:
        """There are replies in the queue, or a fault, or the peer takes data again."""


class PipelinedProtocol(SMTPProtocol):
    """aiosmtplib's protocol with a queue of replies instead of a single awaited one."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self.expected = 1  # the greeting
        self.fault = ""
        self.unsolicited: Reply | None = None
        self.replies: deque[Reply] = deque()
        self.listener: Listener | None = None
        self.on_lost: Callable[[], None] | None = None
        self.lost: asyncio.Future[None] = loop.create_future()
        self._parser = ReplyParser()
        self._waiter: asyncio.Future[None] | None = None
        self._upgrading = False
        self._counting = False
        #: Loop time at which the peer's time is over, in how many seconds, and for what.
        self._due, self._patience, self._waits_for = NEVER, 0.0, ""
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = NEVER

    # -- what the transport calls -----------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self.fault:
            return
        self._counting = True
        try:
            self._read(data)
        except ReplyError as exc:
            self.fail(f"malformed reply: {exc}")
        finally:
            self._counting = False
        if self.replies or self.fault:
            self._wake()

    def _read(self, data: bytes) -> None:
        if self._parser.is_idle and not self._upgrading:
            try:
                self._count(self._parser.feed(data))
                return
            except ReplyError:
                self._parser = ReplyParser()
        # By line: a malformed one must not take the good replies before it with it.
        for line in data.splitlines(keepends=True):
            if self.fault or (self._upgrading and self.expected == 0):
                break
            self._count(self._parser.feed(line))

    def _count(self, replies: list[Reply]) -> None:
        for reply in replies:
            if self.expected == 0:
                self.unsolicited = reply
                self.fail("unexpected reply")
                return
            self.expected -= 1
            self.replies.append(reply)

    def eof_received(self) -> bool:
        self.fail("connection closed by peer")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.fail(f"connection lost: {exc}" if exc else "connection closed")
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self.lost.done():
            self.lost.set_result(None)
        if self.on_lost is not None:
            self.on_lost()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.listener is not None:
            self.listener.advance()

    def _wake(self) -> None:
        if self._counting:
            return
        if self.listener is not None:
            self.listener.advance()
        elif self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # -- what the client calls --------------------------------------------------------------

    def fail(self, text: str) -> None:
        """Break the connection; only the first reason is kept."""
        if not self.fault:
            self.fault = text
            if self.transport is not None:
                cast(asyncio.WriteTransport, self.transport).abort()
        self._wake()

    def end(self, farewell: Reply) -> None:
        """The peer said 421: nothing it says after that counts (RFC 5321 3.8)."""
        self.unsolicited = farewell
        self.replies.clear()
        self.fail("the peer closed the service (421)")

    def send(self, data: bytes, replies: int) -> None:
        """Write `data`, to which the peer owes `replies`. Raises ConnectionBroken."""
        transport = cast("asyncio.WriteTransport | None", self.transport)
        if self.fault or transport is None or transport.is_closing():
            raise self.broken()
        self.expected += replies
        transport.write(data)

    @property
    def paused(self) -> bool:
        """Whether the peer takes data more slowly than it is written."""
        return self._paused

    def allow(self, seconds: float, waits_for: str = "no reply within") -> None:
        """Break the connection unless `rest` or another `allow` comes within `seconds`."""
        self._patience, self._waits_for = seconds, waits_for
        self._due = due = self._loop.time() + seconds
        if due < self._rings_at:
            if self._timer is not None:
                self._timer.cancel()
            self._ring_at(due)

    def rest(self) -> None:
        """The peer owes nothing; the timer may ring for nothing."""
        self._due = NEVER

    def _ring_at(self, due: float) -> None:
        self._rings_at = due
        self._timer = self._loop.call_at(due, self._rung)

    def _rung(self) -> None:
        self._timer, self._rings_at = None, NEVER
        if self._due == NEVER:
            return
        if self._due - self._loop.time() > SLACK:
            self._ring_at(self._due)
        else:
            self.fail(f"{self._waits_for} {self._patience:g} s")

    async def reply(self, seconds: float) -> Reply:
        """The next reply. Raises ConnectionBroken when none comes within `seconds`."""
        if not self.replies and not self.fault:
            self._waiter = self._loop.create_future()
            self.allow(seconds)
            try:
                await self._waiter
            finally:
                self.rest()
                self._waiter = None
        if not self.replies:
            raise self.broken()
        return self.replies.popleft()

    async def command(self, line: bytes, seconds: float) -> Reply:
        """One command, one reply. Raises ConnectionBroken."""
        self.send(line + b"\r\n", 1)
        return await self.reply(seconds)

    async def read_response(self, timeout: float | None = None) -> SMTPResponse:
        """What aiosmtplib's own methods (start_tls) await; raises ConnectionBroken."""
        reply = await self.reply(300.0 if timeout is None else timeout)
        return SMTPResponse(reply.code, "\n".join(reply.lines))

    async def start_tls(
        self,
        tls_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> SMTPResponse:
        """STARTTLS as aiosmtplib does it; whatever was read before the handshake is dropped.

        RFC 3207 4.2: an attacker in the path could have put it there. Raises ConnectionBroken,
        aiosmtplib's SMTPException, OSError, ValueError.
        """
        self._upgrading = True
        self.expected += 1
        try:
            return await super().start_tls(tls_context, server_hostname, timeout)
        finally:
            self._upgrading = False
            self.replies.clear()
            self._parser = ReplyParser()

    def broken(self) -> ConnectionBroken:
        """The exception that tells why this connection is over."""
        return ConnectionBroken(self.fault or "connection closed", self.unsolicited)
