"""The listener whose connections begin with a TLS handshake. RFC 8314 section 3.3

Event loops tell a protocol of its connection only after the handshake, so clients that connect
and then say nothing would be counted nowhere: here they are counted before it.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable, Coroutine
from typing import Any, Final

from mta.smtpd.gate import Gate

log = logging.getLogger(__name__)

#: Out of file descriptors: they come back when connections end, seconds.
RECOVERY: Final = 0.1
EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class TlsListener:
    """One listening socket and the handshakes under way on it."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        factory: Callable[[], asyncio.Protocol],
        context: ssl.SSLContext,
        gate: Gate,
        handshake_timeout: float,
    ) -> None:
        self._loop = loop
        self._factory = factory
        self._context = context
        self._gate = gate
        self._handshake_timeout = handshake_timeout
        self._socket: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int, backlog: int) -> int:
        """Listen; the real port. OSError"""
        found = await self._loop.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, kind, protocol, _, address = found[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(backlog)
            listening.setblocking(False)
        except OSError:
            listening.close()
            raise
        self._socket = listening
        self._spawn(self._accept(listening))
        return int(listening.getsockname()[1])

    def close(self) -> None:
        """Take no more connections; handshakes under way are given up."""
        for task in list(self._tasks):
            task.cancel()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                client, address = await self._loop.sock_accept(listening)
            except OSError as error:
                if error.errno not in EXHAUSTED:
                    log.info("connection lost before it was accepted: %s", error.strerror)
                    continue
                log.error("no more connections can be opened: %s", error.strerror)
                await asyncio.sleep(RECOVERY)
                continue
            ip = str(address[0])
            if self._gate.enter(ip):
                self._spawn(self._handshake(client, ip))
            else:
                log.info("too many handshakes, client %s", ip)
                client.close()

    async def _handshake(self, client: socket.socket, ip: str) -> None:
        try:
            await self._loop.connect_accepted_socket(
                self._factory,
                client,
                ssl=self._context,
                ssl_handshake_timeout=self._handshake_timeout,
            )
        except OSError as error:  # ssl.SSLError, resets and time-outs are OSErrors
            log.info("TLS handshake failed, client %s: %s", ip, type(error).__name__)
            client.close()
        finally:
            self._gate.leave(ip)
