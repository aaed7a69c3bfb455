"""The bytes of one outgoing SMTP connection, cut into replies; no knowledge of mail transactions.

Rule 1: aiosmtplib's protocol waits for one reply per command; here any number of replies may be
        outstanding (RFC 2920), and `expected` counts them.
Rule 2: a reply nobody asked for is never paired with a later command: it breaks the connection.
Rule 3: the first fault is kept, the transport is aborted, and replies read before it stay readable.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from typing import cast

from aiosmtplib.protocol import SMTPProtocol
from aiosmtplib.response import SMTPResponse

from mta.mail.reply import Reply, ReplyError, ReplyParser

CHUNK = 64 * 1024


class ConnectionBroken(Exception):
    """The connection can carry nothing more; `reply` is what the peer said unasked (421, 552)."""

    def __init__(self, text: str, reply: Reply | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.reply = reply


class PipelinedProtocol(SMTPProtocol):
    """aiosmtplib's protocol with a queue of replies instead of a single awaited one."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self.expected = 1  # the greeting
        self.fault = ""
        self.unsolicited: Reply | None = None
        self.on_lost: Callable[[], None] | None = None
        self.lost: asyncio.Future[None] = loop.create_future()
        self._replies: deque[Reply] = deque()
        self._parser = ReplyParser()
        self._waiter: asyncio.Future[None] | None = None
        self._upgrading = False

    # -- what the transport calls -----------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        try:
            # By line: a malformed one must not take the good replies before it with it.
            for line in data.splitlines(keepends=True):
                if self.fault or (self._upgrading and self.expected == 0):
                    break
                for reply in self._parser.feed(line):
                    self._reply_received(reply)
        except ReplyError as exc:
            self.fail(f"malformed reply: {exc}")
        if self._replies:
            self._wake()

    def eof_received(self) -> bool:
        self.fail("connection closed by peer")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.fail(f"connection lost: {exc}" if exc else "connection closed")
        if not self.lost.done():
            self.lost.set_result(None)
        if self.on_lost is not None:
            self.on_lost()

    def _reply_received(self, reply: Reply) -> None:
        if self.expected == 0:
            self.unsolicited = reply
            self.fail("unexpected reply")
            return
        self.expected -= 1
        self._replies.append(reply)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
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
        self._replies.clear()
        self.fail("the peer closed the service (421)")

    def send(self, data: bytes, replies: int) -> None:
        """Write `data`, to which the peer owes `replies`. Raises ConnectionBroken."""
        transport = cast("asyncio.WriteTransport | None", self.transport)
        if self.fault or transport is None or transport.is_closing():
            raise self.broken()
        self.expected += replies
        transport.write(data)

    async def send_content(self, content: bytes, tail: bytes, replies: int, block: float) -> None:
        """Write `content`, then `tail` with the final dot, waiting whenever the peer is slow.

        `block`: seconds the peer may take no data (RFC 5321 4.5.3.2.5). The replies are owed
        from the moment the tail is written: an answer before that is an early refusal. Raises
        ConnectionBroken.
        """
        if len(content) <= CHUNK:
            self.send(content + tail, replies)
            return
        view = memoryview(content)
        for start in range(0, len(content), CHUNK):
            self.send(bytes(view[start : start + CHUNK]), 0)
            if self._paused:
                await self._drain(block)
        self.send(tail, replies)

    async def _drain(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._drain_helper()
        except TimeoutError:
            self.fail(f"peer took no data for {seconds:g} s")
        except OSError as exc:
            self.fail(f"connection lost: {exc}")
        if self.fault:
            raise self.broken()

    async def reply(self, seconds: float) -> Reply:
        """The next reply. Raises ConnectionBroken when none comes within `seconds`."""
        if not self._replies:
            await self._wait(seconds)
            if not self._replies:
                raise self.broken()
        return self._replies.popleft()

    async def _wait(self, seconds: float) -> None:
        if self.fault:
            return
        self._waiter = waiter = self._loop.create_future()
        timer = self._loop.call_later(seconds, self.fail, f"no reply within {seconds:g} s")
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None

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
            self._replies.clear()
            self._parser = ReplyParser()

    def broken(self) -> ConnectionBroken:
        """The exception that tells why this connection is over."""
        return ConnectionBroken(self.fault or "connection closed", self.unsolicited)
