"""Who sends in the demo, as values: pools over four loopback addresses, two tenants, an admin."""

from __future__ import annotations

from dataclasses import dataclass

#: Messages that the warming source may send to one receiver today.
WARMUP_CAP = 5
#: Pool, source and address; the last one warms up.
SOURCES = (
    ("transactional", "transactional-1", "127.0.1.1"),
    ("transactional", "transactional-2", "127.0.1.2"),
    ("marketing", "marketing-1", "127.0.1.3"),
    ("marketing", "marketing-warming", "127.0.1.4"),
)
WARMING = SOURCES[-1][1]


@dataclass(frozen=True, slots=True)
class Sender:
    tenant: str
    domain: str
    api_key: str
    smtp_username: str
    smtp_password: str


@dataclass(frozen=True, slots=True)
class Senders:
    #: Sends the campaign by API over the marketing pool.
    gazette: Sender
    #: Sends single messages by SMTP over the transactional pool.
    shop: Sender
    admin: str
    admin_password: str
