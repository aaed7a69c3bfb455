"""One outgoing SMTP connection: opened from a source address, used for many messages, closed.

Expected refusals of messages are Outcomes; ConnectFailed is for a connection that never got
ready. The dialogue itself is in smtp_pipeline, bytes and replies in smtp_protocol.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from aiosmtplib.errors import SMTPException, SMTPResponseException

from mta.mail.reply import Reply, ReplyError, parse_reply
from mta.net.smtp_envelope import Offer, Outcome, Timeouts, Transaction, parse_offer
from mta.net.smtp_pipeline import Pipeline
from mta.net.smtp_protocol import ConnectionBroken, PipelinedProtocol
from mta.net.tls import client_context

__all__ = ["ConnectFailed", "Connection", "Outcome", "Target", "Timeouts", "Transaction"]

# Linux <linux/in.h>; not in the socket module before Python 3.12.
IP_BIND_ADDRESS_NO_PORT = 24


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect, from where, and how."""

    #: the MX host's name, or an address literal "[192.0.2.1]"
    host: str
    #: IPv4 or IPv6 address of it
    address: str
    port: int = 25
    #: "" lets the system choose
    source_address: str = ""
    ehlo_name: str = "localhost"
    #: none | opportunistic | required
    tls: str = "opportunistic"
    #: None: encryption without verification
    tls_context: ssl.SSLContext | None = None
    timeouts: Timeouts = field(default_factory=Timeouts)


class ConnectFailed(Exception):
    """No usable connection. `stage`: connect, ehlo, starttls, or local when the fault is here.

    stage "starttls": the peer may still be reached with tls="none".
    """

    def __init__(self, stage: str, reply: Reply | None, text: str) -> None:
        super().__init__(f"{stage}: {reply or text}")
        self.stage = stage
        self.reply = reply
        self.text = text


class Connection:
    """A ready connection; `open` makes one. Belongs to one event loop and one caller at a time."""

    def __init__(self, target: Target, protocol: PipelinedProtocol, offer: Offer, tls: str) -> None:
        self.host = target.host
        self.address = target.address
        self.source_address = target.source_address
        #: "" or version and cipher: "TLSv1.3 TLS_AES_256_GCM_SHA384"
        self.tls = tls
        self.capabilities = offer.keywords
        self._loop = asyncio.get_running_loop()
        #: loop time, seconds
        self.opened_at = self.last_used_at = self._loop.time()
        self._protocol = protocol
        self._timeouts = target.timeouts
        self._pipeline = Pipeline(protocol, offer, target.timeouts)
        self._busy = False

    @classmethod
    async def open(cls, target: Target) -> "Connection":
        """Connect, greet and encrypt as `target` says. Raises ConnectFailed."""
        protocol = await _connect(target)
        try:
            await _greeting(protocol, target)
            offer = await _hello(protocol, target, "ehlo")
            tls = ""
            if target.tls != "none":
                tls = await _encrypt(protocol, target, offer)
            if tls:
                # A peer whose session dies behind the handshake has broken STARTTLS as well.
                offer = await _hello(protocol, target, "starttls")
            return cls(target, protocol, offer, tls)
        except BaseException:
            protocol.fail("given up")
            raise

    @property
    def sent(self) -> int:
        """How many messages the peer has judged on this connection."""
        return self._pipeline.answered

    @property
    def usable(self) -> bool:
        """Whether another batch can go down this connection."""
        return not self._busy and not self._protocol.fault and self._protocol.is_connected

    def on_lost(self, callback: Callable[[], None] | None) -> None:
        """Call `callback` in the loop when the connection is gone, whoever ended it.

        At once when it is gone already; None: call nobody.
        """
        self._protocol.on_lost = callback
        if callback is not None and self._protocol.lost.done():
            callback()

    async def deliver(
        self, transactions: Iterable[Transaction], on_outcome: Callable[[Outcome], None]
    ) -> None:
        """Send `transactions`; each gets one Outcome, in order, the moment its reply is read.

        When the connection breaks, at most the first Outcome without a reply is in doubt (stage
        "dot"); the rest have attempted=False. So it is on cancellation, which is raised after
        that. An exception of the iterable or of `on_outcome`
        aborts the connection and is raised. RuntimeError: a delivery is already running.
        """
        if self._busy:
            raise RuntimeError("a connection carries one delivery at a time")
        self._busy = True
        try:
            await self._pipeline.deliver(transactions, on_outcome)
        except BaseException:
            self.abort()
            raise
        finally:
            self._busy = False
            self.last_used_at = self._loop.time()

    async def quit(self) -> None:
        """Say QUIT and close; never raises for what the peer does."""
        with suppress(ConnectionBroken):
            await self._protocol.command(b"QUIT", self._timeouts.quit)
        await _close(self._protocol, self._timeouts.quit)

    def abort(self) -> None:
        """Close at once, without a word."""
        self._protocol.fail("aborted")


async def _connect(target: Target) -> PipelinedProtocol:
    loop = asyncio.get_running_loop()
    sock = _bound_socket(target)
    try:
        async with asyncio.timeout(target.timeouts.connect):
            await loop.sock_connect(sock, (target.address, target.port))
            _, protocol = await loop.create_connection(lambda: PipelinedProtocol(loop), sock=sock)
    except TimeoutError:
        sock.close()
        text = f"no connection within {target.timeouts.connect:g} s"
        raise ConnectFailed("connect", None, text) from None
    except OSError as exc:
        sock.close()
        # asyncio words it its own way and names the address again.
        text = os.strerror(exc.errno) if exc.errno and exc.errno > 0 else str(exc)
        raise ConnectFailed("connect", None, text) from exc
    except BaseException:
        sock.close()
        raise
    return protocol


def _bound_socket(target: Target) -> socket.socket:
    family = socket.AF_INET6 if ":" in target.address else socket.AF_INET
    try:
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    except OSError as exc:
        raise ConnectFailed("local", None, f"no socket: {exc.strerror}") from exc
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if target.source_address:
            # Lets one source address reuse a local port towards different peers.
            sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((target.source_address, 0))
    except OSError as exc:
        sock.close()
        text = f"cannot bind source address {target.source_address}: {exc.strerror}"
        raise ConnectFailed("local", None, text) from exc
    return sock


async def _greeting(protocol: PipelinedProtocol, target: Target) -> None:
    reply = await _reply("connect", protocol, None, target.timeouts.greeting)
    if reply.code != 220:
        raise ConnectFailed("connect", reply, "")


async def _hello(protocol: PipelinedProtocol, target: Target, stage: str) -> Offer:
    """EHLO, or HELO for a peer that refuses EHLO for good (RFC 5321 3.2)."""
    name = target.ehlo_name.encode("ascii", "replace")
    reply = await _reply(stage, protocol, b"EHLO " + name, target.timeouts.ehlo)
    if 200 <= reply.code < 300:
        return parse_offer(reply.lines)
    if reply.code >= 500:
        reply = await _reply(stage, protocol, b"HELO " + name, target.timeouts.ehlo)
        if 200 <= reply.code < 300:
            return Offer()
    raise ConnectFailed(stage, reply, "")


async def _encrypt(protocol: PipelinedProtocol, target: Target, offer: Offer) -> str:
    if "STARTTLS" not in offer.keywords:
        if target.tls == "required":
            raise ConnectFailed("starttls", None, "the peer does not offer STARTTLS")
        return ""
    name = target.host.strip("[]").removeprefix("IPv6:").rstrip(".")
    context = target.tls_context or client_context()
    try:
        await protocol.start_tls(context, name, target.timeouts.ehlo)
    except ConnectionBroken as exc:
        raise ConnectFailed("starttls", exc.reply, exc.text) from exc
    # ValueError: a host name that the ssl module cannot encode.
    except (SMTPException, OSError, ValueError) as exc:
        raise ConnectFailed("starttls", _answered(exc), f"{type(exc).__name__}: {exc}") from exc
    return _tls_text(protocol)


def _answered(exc: Exception) -> Reply | None:
    if not isinstance(exc, SMTPResponseException):
        return None
    try:
        return parse_reply(f"{exc.code} {' '.join(exc.message.split())}")
    except ReplyError:
        return None


def _tls_text(protocol: PipelinedProtocol) -> str:
    transport = protocol.transport
    tls = transport.get_extra_info("ssl_object") if transport is not None else None
    if tls is None:
        raise ConnectFailed("starttls", None, "connection lost after the handshake")
    return f"{tls.version()} {tls.cipher()[0]}"


async def _reply(
    stage: str, protocol: PipelinedProtocol, line: bytes | None, seconds: float
) -> Reply:
    """The reply to `line`, or to nothing (the greeting); a broken connection is ConnectFailed."""
    try:
        if line is None:
            return await protocol.reply(seconds)
        return await protocol.command(line, seconds)
    except ConnectionBroken as exc:
        raise ConnectFailed(stage, exc.reply, exc.text) from exc


async def _close(protocol: PipelinedProtocol, seconds: float) -> None:
    """Close in order (TLS close_notify, FIN), by force after `seconds`."""
    if protocol.transport is not None:
        protocol.transport.close()
    try:
        async with asyncio.timeout(seconds):
            await asyncio.shield(protocol.lost)
    except TimeoutError:
        protocol.fail("peer did not close")
