"""One outgoing SMTP connection: opened from a source address, used for many messages, closed.

Expected refusals of messages are Outcomes; ConnectFailed is for a connection that never got
ready. How it gets ready is in smtp_opening, the dialogue in smtp_pipeline, bytes and replies in
smtp_protocol.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress

from mta.net.smtp_envelope import Offer, Outcome, Timeouts, Transaction
from mta.net.smtp_opening import ConnectFailed, Target, open_peer
from mta.net.smtp_pipeline import Pipeline
from mta.net.smtp_protocol import ConnectionBroken, PipelinedProtocol

__all__ = ["ConnectFailed", "Connection", "Outcome", "Target", "Timeouts", "Transaction"]


class Connection:
    """A ready connection; `open` makes one. Belongs to one event loop and one caller at a time."""

    __slots__ = (
        "_busy", "_loop", "_pipeline", "_protocol", "_timeouts", "address", "capabilities", "host",
        "last_used_at", "opened_at", "source_address", "tls",
    )  # fmt: skip

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
        return cls(target, *await open_peer(target))

    @property
    def sent(self) -> int:
        """How many messages the peer has judged on this connection."""
        return self._pipeline.answered

    @property
    def usable(self) -> bool:
        """Whether another batch can go down this connection."""
        return not self._busy and not self._protocol.fault and self._protocol.is_connected

    @property
    def broken(self) -> bool:
        """Whether it can carry nothing more."""
        return bool(self._protocol.fault)

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
        "dot"); the rest have attempted=False. Cancellation is told in the same way, then raised.
        An exception of the iterable or of `on_outcome` aborts the connection and is raised.
        RuntimeError: a delivery is already running.
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

    async def gone(self) -> None:
        """Wait until the connection is really gone; somebody must have ended it."""
        await asyncio.shield(self._protocol.lost)


async def _close(protocol: PipelinedProtocol, seconds: float) -> None:
    """Close in order (TLS close_notify, FIN), by force after `seconds`."""
    if protocol.transport is not None:
        protocol.transport.close()
    try:
        async with asyncio.timeout(seconds):
            await asyncio.shield(protocol.lost)
    except TimeoutError:
        protocol.fail("peer did not close")
