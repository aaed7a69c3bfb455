"""What the connections of one process share."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mta.mail.smtp_session import SessionRules
from mta.smtpd.config import Kind, SmtpdConfig
from mta.smtpd.door import Door
from mta.smtpd.gate import Gate
from mta.smtpd.lookups import Lookups
from mta.smtpd.storekeeper import Storekeeper

if TYPE_CHECKING:
    from mta.smtpd.connection import Connection


@dataclass(slots=True)
class Hub:
    """Everything a connection reaches beyond its own socket."""

    loop: asyncio.AbstractEventLoop
    config: SmtpdConfig
    door: Door
    lookups: Lookups
    storekeeper: Storekeeper
    tls: ssl.SSLContext
    gate: Gate
    connections: set[Connection] = field(default_factory=set)
    #: Tasks of TLS handshakes, held so that they are not collected.
    handshakes: set[asyncio.Task[None]] = field(default_factory=set)
    #: Octets of clients in memory, all sessions together.
    content_bytes: int = 0
    #: SIGTERM came: no new mail.
    draining: bool = False

    @classmethod
    def build(
        cls,
        loop: asyncio.AbstractEventLoop,
        config: SmtpdConfig,
        door: Door,
        tls: ssl.SSLContext,
    ) -> Hub:
        """Start the threads that stand behind the door."""
        return cls(
            loop=loop,
            config=config,
            door=door,
            lookups=Lookups(loop),
            storekeeper=Storekeeper(loop, door.store),
            tls=tls,
            gate=Gate(config.max_connections, config.max_connections_per_ip),
        )

    @property
    def crowded(self) -> bool:
        """No memory is left for more content."""
        return self.content_bytes > self.config.max_content_bytes

    def rules_for(self, kind: Kind, *, trusted: bool) -> SessionRules:
        """What a client is offered at a listener of this kind."""
        return SessionRules(
            hostname=self.config.hostname,
            trusted=trusted,
            tls_available=kind is not Kind.SMTPS,
            max_message_bytes=self.config.max_message_bytes,
            max_recipients=self.config.max_recipients,
        )
