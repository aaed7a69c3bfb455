"""The SMTP process: opens the listeners, and ends without losing a message under way."""

from __future__ import annotations

import asyncio
import logging
import signal
import ssl
from collections.abc import Callable
from functools import partial

from mta.mail import smtp_replies as replies
from mta.smtpd import tls
from mta.smtpd.config import Bind, Kind, SmtpdConfig
from mta.smtpd.connection import Connection
from mta.smtpd.door import Door
from mta.smtpd.gate import Gate
from mta.smtpd.hub import Hub
from mta.smtpd.implicit_tls import TlsListener

log = logging.getLogger(__name__)

BACKLOG = 1024


class ListenError(Exception):
    """A listener cannot be opened; the text names address and fix."""


class SmtpServer:
    """All listeners of one process on one event loop."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._listeners: list[asyncio.Server | TlsListener] = []

    @classmethod
    def build(cls, config: SmtpdConfig, door: Door) -> SmtpServer:
        """Call it on the running loop; CertificateError."""
        context = tls.server_context(config.tls_cert_file, config.tls_key_file)
        return cls(Hub.build(asyncio.get_running_loop(), config, door, context))

    @property
    def hub(self) -> Hub:
        return self._hub

    async def start(self) -> list[Bind]:
        """Listen; the addresses with their real ports. ListenError"""
        opened = []
        for bind in self._hub.config.binds:
            try:
                port = await self._listen(bind)
            except OSError as error:
                raise ListenError(unable(bind, error)) from error
            opened.append(Bind(bind.kind, bind.host, port))
            log.info("%s listens on %s port %d", bind.kind, bind.host, port)
        return opened

    async def _listen(self, bind: Bind) -> int:
        hub, config = self._hub, self._hub.config
        factory = partial(Connection, hub, bind.kind)
        if bind.kind is Kind.SMTPS:
            gate = Gate(config.max_connections, config.max_connections_per_ip)
            listener = TlsListener(hub.loop, factory, hub.tls, gate, config.handshake_timeout)
            self._listeners.append(listener)
            return await listener.start(bind.host, bind.port, BACKLOG)
        server = await hub.loop.create_server(factory, bind.host, bind.port, backlog=BACKLOG)
        self._listeners.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Take no more; let messages under way finish for drain_seconds, then close."""
        hub = self._hub
        for listener in self._listeners:
            listener.close()
        hub.draining = True
        give_up_at = hub.loop.time() + hub.config.drain_seconds
        for connection in list(hub.connections):
            if not connection.busy:
                connection.end(replies.SHUTTING_DOWN, "shutdown")
        while hub.connections and hub.loop.time() < give_up_at:
            await asyncio.sleep(0.02)
        for connection in list(hub.connections):
            connection.cut()
        for task in list(hub.handshakes):
            task.cancel()
        left = max(1.0, give_up_at - hub.loop.time())
        hub.storekeeper.finish()
        if not await asyncio.to_thread(hub.storekeeper.join, left):
            log.error("the database did not answer in time; unanswered mail was not accepted")
        await asyncio.to_thread(hub.lookups.close)


def unable(bind: Bind, error: OSError) -> str:
    """Which listener failed and what can be done."""
    return (
        f"The {bind.kind} listener cannot use {bind.host}:{bind.port} ({error.strerror}): "
        f"free the port or set MAILMILL_{bind.kind.upper()}_BIND."
    )


def reload_certificate(context: ssl.SSLContext, config: SmtpdConfig) -> None:
    """SIGHUP: a renewed certificate serves from the next handshake; a bad one changes nothing."""
    try:
        tls.load(context, config.tls_cert_file, config.tls_key_file)
        log.info("certificate loaded again")
    except tls.CertificateError as error:
        log.error("%s", error)


async def run(config: SmtpdConfig, door: Door) -> None:
    """Serve until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    server = SmtpServer.build(config, door)
    loop.add_signal_handler(signal.SIGHUP, reload_certificate, server.hub.tls, config)
    await server.start()
    await stopping.wait()
    log.info("shutting down with %d connections", len(server.hub.connections))
    await server.stop()


def serve(config: SmtpdConfig, door: Door | None = None) -> None:
    """Block until a signal ends it. Raises ListenError, CertificateError."""
    if door is None:
        from mta.smtpd.database_door import DatabaseDoor  # noqa: PLC0415  # needs Django set up

        door = DatabaseDoor()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(run(config, door))


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """uvloop where it is installed: half the time per message."""
    try:
        import uvloop  # noqa: PLC0415  # optional
    except ImportError:
        return asyncio.new_event_loop
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
