"""What the SMTP listeners are told at start, as one frozen value."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path


class Kind(StrEnum):
    """What a listener is for."""

    RELAY = "relay"  # allowed networks, or STARTTLS and AUTH
    SUBMISSION = "submission"  # STARTTLS and AUTH, whatever the network
    SMTPS = "smtps"  # TLS from the first byte, AUTH. RFC 8314 3.3


@dataclass(frozen=True, slots=True)
class Bind:
    """One address that is listened on; port 0 takes a free one."""

    kind: Kind
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class SmtpdConfig:
    """Sizes are octets, times are seconds."""

    #: Name in the banner, in EHLO and in Received.
    hostname: str
    binds: tuple[Bind, ...]
    #: PEM; made at first start when the files are not there.
    tls_cert_file: Path
    tls_key_file: Path
    #: Clients that may use the relay bind without AUTH.
    relay_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    max_message_bytes: int = 26_214_400
    max_recipients: int = 1000
    max_connections: int = 1000
    max_connections_per_ip: int = 100
    #: Content of all sessions together; more is answered with 452 4.3.1.
    max_content_bytes: int = 536_870_912
    #: Between two commands, or two pieces of content. RFC 5321 4.5.3.2.7
    idle_timeout: float = 300.0
    #: For all content of one message, however slowly it drips.
    content_timeout: float = 3600.0
    handshake_timeout: float = 30.0
    #: A session that authenticated longer ago must do so again: its credential may be revoked.
    auth_lifetime: float = 3600.0
    #: How long sessions inside a message may go on after SIGTERM.
    drain_seconds: float = 8.0
