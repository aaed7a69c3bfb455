"""One client's socket: bytes between the transport and the session, TLS, time-outs, flow control.

What the session says stands in mta/mail/smtp_session.py, what is answered in reception.py.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import ssl
from typing import Final, cast

from mta.mail import smtp_replies as replies
from mta.mail.reply import Reply
from mta.mail.smtp_events import (
    Authenticate,
    Ended,
    Event,
    MessageReceived,
    SenderOffered,
    UpgradeTls,
)
from mta.mail.smtp_session import Session
from mta.smtpd.config import Kind
from mta.smtpd.hub import Hub
from mta.smtpd.reception import Reception

log = logging.getLogger(__name__)

#: Unread input of a session that waits for an answer; reading stops above it.
MAX_AHEAD: Final = 262_144
#: How long a client may take to read the last reply before the socket is cut, seconds.
LINGER: Final = 10.0


class Connection(asyncio.Protocol):
    """From accept to close."""

    def __init__(self, hub: Hub, kind: Kind) -> None:
        self._hub = hub
        self._kind = kind
        self._ip = ""
        self._counted = False
        self._transport: asyncio.Transport | None = None
        self._session: Session
        self._reception: Reception
        self._timer: asyncio.TimerHandle | None = None
        self._pumping = False
        self._handshaking = False
        #: The transport belongs to TLS, but the session does not know yet.
        self._upgrading = False
        self._inside_tls = bytearray()
        #: Loop time of the last progress, and of the first octet of content under way.
        self._active_at = self._content_at = 0.0
        self._held = 0
        self._write_full = self._read_paused = self._eof = False

    # -- called by the event loop -------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected; with implicit TLS the handshake is done."""
        # uvloop's transports have the methods without being subclasses
        self._transport = cast(asyncio.Transport, transport)
        self._ip = client_ip(transport)
        hub = self._hub
        trusted = self._kind is Kind.RELAY and is_in(self._ip, hub)
        rules = hub.rules_for(self._kind, trusted=trusted)
        self._session = Session(rules, tls_active=self._kind is Kind.SMTPS)
        self._reception = Reception(hub, self._session, self._ip, self._pump)
        self._active_at = hub.loop.time()
        hub.connections.add(self)
        self._counted = hub.gate.enter(self._ip)
        if not self._counted:
            log.info("too many connections, client %s", self._ip)
            self.end(replies.TOO_MANY_CONNECTIONS, "busy")
            return
        self._set_timer(hub.loop.call_later(hub.config.idle_timeout, self._on_timer))
        self._session.greet()
        self._pump()

    def data_received(self, data: bytes) -> None:
        """Bytes came in."""
        if self._upgrading:
            # The client's first words may come with the end of its handshake, before the task
            # below goes on. They are from inside TLS: clear text cannot get here any more.
            self._inside_tls += data
            return
        self._session.receive(data)
        self._pump()

    def eof_received(self) -> bool:
        """The client sends no more; a message that is being stored still gets its answer."""
        self._eof = True
        return self._session.waiting and not self._session.tls_active

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self._transport = None
        self._session.abort()
        hub = self._hub
        hub.connections.discard(self)
        hub.content_bytes -= self._held
        self._held = 0
        self._set_timer(None)
        if self._counted:
            self._counted = False
            hub.gate.leave(self._ip)

    def pause_writing(self) -> None:
        """The client does not read its replies: take no more commands from it."""
        self._write_full = True
        self._steer_reading()

    def resume_writing(self) -> None:
        """It reads again."""
        self._write_full = False
        self._steer_reading()

    # -- called by the server -----------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """A message is on its way in or being stored."""
        return self._session.in_content

    def end(self, reply: Reply, reason: str) -> None:
        """Say reply and close."""
        self._session.close(reply, reason)
        self._pump()

    def cut(self) -> None:
        """Close without a word."""
        if self._transport is not None:
            self._transport.abort()

    # -- the work -----------------------------------------------------------------------------

    def _pump(self) -> None:
        """Let the session go on as far as it can, then send what it said."""
        if self._pumping:
            return  # an answer that was known at once: the loop below is already running
        session = self._session
        self._pumping = True
        try:
            while (event := session.next_event()) is not None:
                self._handle(event)
        finally:
            self._pumping = False
        self._account()
        self._flush()

    def _handle(self, event: Event) -> None:
        match event:
            case SenderOffered():
                self._reception.offer(event)
            case MessageReceived():
                self._content_at = 0.0
                self._reception.take(event)
            case Authenticate():
                self._reception.authenticate(event)
            case UpgradeTls():
                self._start_handshake()
            case Ended(reason):
                if reason != "quit":
                    log.info("session ended (%s), client %s", reason, self._ip)

    def _account(self) -> None:
        """Count memory; too much of it makes the content under way go."""
        hub, session = self._hub, self._session
        held = session.held if self._transport is not None else 0
        if held != self._held:
            hub.content_bytes += held - self._held
            self._held = held
        if session.receiving:
            self._active_at = now = hub.loop.time()
            self._content_at = self._content_at or now
            if hub.crowded:
                session.abandon_content(replies.OUT_OF_ROOM)
        self._steer_reading()

    def _flush(self) -> None:
        session, transport = self._session, self._transport
        output = session.take_output()
        if transport is None or transport.is_closing():
            return
        if output:
            self._active_at = self._hub.loop.time()
            transport.write(output)
        ended = session.ended
        if self._hub.draining and not ended and not self.busy and not self._handshaking:
            self.end(replies.SHUTTING_DOWN, "shutdown")
        elif ended or (self._eof and not session.waiting):
            transport.close()
            self._set_timer(self._hub.loop.call_later(LINGER, self.cut))

    def _steer_reading(self) -> None:
        session = self._session
        full = self._write_full or (session.ahead > MAX_AHEAD and session.waiting)
        if full is self._read_paused:
            return
        transport = self._transport
        if transport is None or transport.is_closing() or self._handshaking:
            return
        if full:
            transport.pause_reading()
        else:
            transport.resume_reading()
        self._read_paused = full

    def _set_timer(self, timer: asyncio.TimerHandle | None) -> None:
        """There is one timer at a time; the old one goes."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = timer

    def _on_timer(self) -> None:
        """Look whether a deadline passed; one timer a connection, moved on seldom."""
        hub, session = self._hub, self._session
        now = hub.loop.time()
        deadline = self._active_at + hub.config.idle_timeout
        if self._content_at and session.receiving:
            deadline = min(deadline, self._content_at + hub.config.content_timeout)
        if session.waiting or self._handshaking:
            deadline = now + hub.config.idle_timeout  # we are late, not the client
        if now < deadline:
            self._set_timer(hub.loop.call_at(deadline, self._on_timer))
        else:
            self.end(replies.TIMED_OUT, "time-out")

    # -- TLS ----------------------------------------------------------------------------------

    def _start_handshake(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        # nothing may be read as clear text from here on (RFC 3207 section 6)
        transport.pause_reading()
        self._handshaking = True
        output = self._session.take_output()
        if output:
            transport.write(output)
        task = self._hub.loop.create_task(self._handshake(transport))
        self._hub.handshakes.add(task)
        task.add_done_callback(self._hub.handshakes.discard)

    async def _handshake(self, transport: asyncio.Transport) -> None:
        hub = self._hub
        # start_tls takes the transport away from us before it first waits
        self._upgrading = True
        try:
            upgraded = await hub.loop.start_tls(
                transport,
                self,
                hub.tls,
                server_side=True,
                ssl_handshake_timeout=hub.config.handshake_timeout,
            )
        except (ssl.SSLError, OSError) as error:  # time-outs and resets are OSErrors
            log.info("TLS handshake failed, client %s: %s", self._ip, type(error).__name__)
            transport.abort()
            self.connection_lost(error)
            return
        if upgraded is None:  # the client left in the same moment
            self.connection_lost(None)
            return
        self._transport = upgraded
        self._handshaking = self._upgrading = self._read_paused = False
        if self._session.waiting:
            self._session.accept()
            self._session.receive(self._inside_tls)
            self._inside_tls.clear()
        self._pump()


def client_ip(transport: asyncio.BaseTransport) -> str:
    """The peer's address, an IPv4 address mapped into IPv6 as IPv4; "" when it is gone already."""
    peer = transport.get_extra_info("peername")
    if not peer:
        return ""
    ip = ipaddress.ip_address(peer[0].partition("%")[0])
    return str(getattr(ip, "ipv4_mapped", None) or ip)


def is_in(ip: str, hub: Hub) -> bool:
    """Whether the address is in an allowed network."""
    if not ip:
        return False
    address = ipaddress.ip_address(ip)
    return any(address in network for network in hub.config.relay_networks)
