"""An SMTP receiver (aiosmtpd) that takes so many messages a window and answers 421 beyond."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiosmtpd.smtp import SMTP

from mta.net.loop import LoopThread

BUSY = "421 4.7.0 Too many messages from 127.0.0.1, slow down"


@dataclass
class CountingReceiver:
    """`limit` messages in every window of `window` seconds by its own clock."""

    limit: int
    window: float
    port: int = 0
    #: Instants (monotonic).
    taken: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    period: int = -1
    in_period: int = 0

    async def handle_MAIL(  # the name that aiosmtpd calls
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        now = time.monotonic()
        if int(now / self.window) != self.period:
            self.period, self.in_period = int(now / self.window), 0
        if self.in_period >= self.limit:
            self.refused.append(now)
            await server.push(BUSY)
            server.transport.close()
            return BUSY
        self.in_period += 1
        envelope.mail_from = address
        return "250 2.1.0 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.taken.append(time.monotonic())
        return "250 2.0.0 OK"


@contextmanager
def receiving(limit: int, window: float) -> Iterator[CountingReceiver]:
    """The receiver, listening on loopback."""
    receiver = CountingReceiver(limit, window)
    thread = LoopThread("receiver")
    thread.start()

    async def listen() -> Any:
        loop = asyncio.get_running_loop()
        return await loop.create_server(lambda: SMTP(receiver, loop=loop), "127.0.0.1", 0)

    server = thread.run(listen())
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:

        async def close() -> None:
            server.close()

        thread.run(close())
        thread.stop()
