"""From a Target to a peer that waits for mail: connect, greeting, EHLO, STARTTLS, EHLO, AUTH.

Rule 1: whatever goes wrong is a ConnectFailed that names its stage; stage "local" is our own fault.
Rule 2: STARTTLS that fails in any way is stage "starttls": the peer may be reachable without it.
Rule 3: a password is sent inside TLS or not at all (mta.net.smtp_auth).
"""

import asyncio
import os
import socket
import ssl
from dataclasses import dataclass, field

from aiosmtplib.errors import SMTPException, SMTPResponseException

from mta.mail.reply import Reply, ReplyError, parse_reply
from mta.net.smtp_auth import AuthFailed, Login, log_in
from mta.net.smtp_envelope import Offer, Timeouts, parse_offer
from mta.net.smtp_protocol import ConnectionBroken, PipelinedProtocol
from mta.net.tls import client_context

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
    #: TLS from the first byte instead of STARTTLS (RFC 8314 3.3).
    implicit_tls: bool = False
    #: Of a smart host that wants one.
    login: Login | None = None


class ConnectFailed(Exception):
    """No usable connection. `stage`: connect, ehlo, starttls, auth, or local: the fault is here.

    stage "starttls": the peer may still be reached with tls="none".
    """

    def __init__(self, stage: str, reply: Reply | None, text: str) -> None:
        super().__init__(f"{stage}: {reply or text}")
        self.stage = stage
        self.reply = reply
        self.text = text


async def open_peer(target: Target) -> tuple[PipelinedProtocol, Offer, str]:
    """The ready protocol, what the peer offers, and the TLS in use ("" for none).

    Raises ConnectFailed.
    """
    protocol = await _connect(target)
    try:
        await _greeting(protocol, target)
        offer = await _hello(protocol, target, "ehlo")
        tls = _tls_text(protocol) if target.implicit_tls else ""
        if target.tls != "none" and not tls:
            tls = await _encrypt(protocol, target, offer)
            if tls:
                # A peer whose session dies behind the handshake has broken STARTTLS as well.
                offer = await _hello(protocol, target, "starttls")
        if target.login is not None:
            await _authenticate(protocol, target, target.login, offer, tls)
        return protocol, offer, tls
    except BaseException:
        protocol.fail("given up")
        raise


async def _connect(target: Target) -> PipelinedProtocol:
    loop = asyncio.get_running_loop()
    sock = _bound_socket(target)
    try:
        async with asyncio.timeout(target.timeouts.connect):
            await loop.sock_connect(sock, (target.address, target.port))
            context = (target.tls_context or client_context()) if target.implicit_tls else None
            _, protocol = await loop.create_connection(
                lambda: PipelinedProtocol(loop), sock=sock, ssl=context,
                server_hostname=_peer_name(target) if context else None,
            )  # fmt: skip
    except TimeoutError:
        sock.close()
        text = f"no connection within {target.timeouts.connect:g} s"
        raise ConnectFailed("connect", None, text) from None
    except ssl.SSLError as exc:
        sock.close()
        raise ConnectFailed("starttls", None, f"{type(exc).__name__}: {exc.reason}") from exc
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
    context = target.tls_context or client_context()
    try:
        await protocol.start_tls(context, _peer_name(target), target.timeouts.ehlo)
    except ConnectionBroken as exc:
        raise ConnectFailed("starttls", exc.reply, exc.text) from exc
    # ValueError: a host name that the ssl module cannot encode.
    except (SMTPException, OSError, ValueError) as exc:
        raise ConnectFailed("starttls", _answered(exc), f"{type(exc).__name__}: {exc}") from exc
    return _tls_text(protocol)


def _peer_name(target: Target) -> str:
    """What the certificate is checked against."""
    return target.host.strip("[]").removeprefix("IPv6:").rstrip(".")


async def _authenticate(
    protocol: PipelinedProtocol, target: Target, login: Login, offer: Offer, tls: str
) -> None:
    """Log in. Whatever goes wrong is stage "auth"."""
    try:
        await log_in(protocol, login, offer, bool(tls), target.timeouts.ehlo)
    except AuthFailed as exc:
        raise ConnectFailed("auth", exc.reply, exc.text) from None
    except ConnectionBroken as exc:
        raise ConnectFailed("auth", exc.reply, exc.text) from exc


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
