"""The only door into the spool.

Rule 1: everything of one call is stored in one transaction, or nothing is.
Rule 2: the caller says "accepted" only after this returned: then it is on disk.
Rule 3: ringing the dispatcher may fail; the mail is stored and the sweep will find it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
import redis
from django.db import IntegrityError

from mta import wiring
from mta.events import outbox
from mta.mail import wire
from mta.mail.address import Address
from mta.mail.headers import split
from mta.spool import bodies, lanes
from mta.spool.ids import new_id, new_ids
from mta.spool.models import Message, Recipient
from mta.spool.streams import StreamFacts, stream_facts
from mta.storage import bulk
from mta.storage.fields import now_ms
from mta.storage.transactions import write
from mta.suppression.lookup import suppressed_among

log = logging.getLogger(__name__)

MESSAGE_COLUMNS = (
    "id", "tenant_id", "stream_id", "body_id", "reverse_path", "sender_domain", "subject",
    "campaign", "tags", "metadata", "origin", "smtputf8", "envid", "ret", "created_at",
    "expires_at",
)  # fmt: skip
RECIPIENT_COLUMNS = (
    "id", "message_id", "lane_id", "address", "state", "attempts", "next_attempt_at",
    "substitutions", "metadata", "notify", "orcpt", "last_reply", "bounce_class", "updated_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class NewRecipient:
    """Somebody a message is for; substitutions and metadata are JSON-like mappings."""

    address: Address
    substitutions: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] | None = None
    notify: str = ""
    orcpt: str = ""


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message as a door hands it in; instants are seconds since the epoch."""

    tenant_id: int
    stream_id: int
    reverse_path: str
    sender_domain: str
    #: Wire form (kind "raw") or JSON of a compose.Spec (kind "template").
    content: bytes
    kind: str
    recipients: Sequence[NewRecipient]
    origin: str
    subject: str = ""
    campaign: str = ""
    tags: Sequence[str] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    send_at: float | None = None
    expires_at: float | None = None
    smtputf8: bool = False
    envid: str = ""
    ret: str = ""
    #: Taken from ids.new_id() when the Received header had to name it; 0: made here.
    message_id: int = 0


@dataclass(frozen=True, slots=True)
class Accepted:
    """What was stored: ids, and the indexes of recipients that are suppressed."""

    message_id: int
    recipient_ids: tuple[int, ...]
    suppressed: frozenset[int]


Also = Callable[[list[Accepted]], None]


def inject(messages: Sequence[NewMessage], *, also: Also | None = None) -> list[Accepted]:
    """Store the messages durably and ring the dispatcher; `also` runs in the same transaction.

    Raises what the database raises; then nothing is stored.
    """
    packed = [bodies.pack(m.kind, durable_content(m)) for m in messages]

    def work() -> list[Accepted]:
        accepted = store(messages, packed)
        if also is not None:
            also(accepted)
        return accepted

    try:
        accepted = write(work)
    except IntegrityError:
        if any(m.message_id for m in messages) or also is not None:
            raise
        accepted = write(work)  # two processes drew overlapping ids: once more, with new ones
    ring()
    return accepted


def ring() -> None:
    """Tell the dispatcher that something is due."""
    try:
        wiring.nudge().ring()
    except redis.RedisError as error:
        log.warning("dispatcher not nudged (%s); the sweep finds the mail", type(error).__name__)


def durable_content(message: NewMessage) -> bytes:
    """The content in the form that survives every hop: RFC 6376 5.3 wants 7 bit before signing."""
    if message.kind != "raw":
        return message.content
    _, body = split(message.content)
    if body.isascii() and wire.longest_line(message.content) <= 998:
        return message.content
    return wire.make_seven_bit_safe(message.content)


def store(messages: Sequence[NewMessage], packed: Sequence[bodies.Packed]) -> list[Accepted]:
    """Write the rows; the caller holds the transaction."""
    now = now_ms()
    bodies.store(packed, now)
    facts = [stream_facts(message.stream_id) for message in messages]
    lane_ids = lanes.arm(lanes_of(messages, facts, now))
    message_rows, recipient_rows, events = [], [], []
    accepted = []
    for message, body, fact in zip(messages, packed, facts, strict=True):
        created = Created(message, fact, now, lane_ids)
        message_rows.append(created.message_row(body.digest))
        recipient_rows.extend(created.recipient_rows())
        events.extend(created.events())
        accepted.append(created.accepted())
    bulk.insert(Message, MESSAGE_COLUMNS, message_rows)
    bulk.insert(Recipient, RECIPIENT_COLUMNS, recipient_rows)
    outbox.write(events)
    return accepted


def keys_of(message: NewMessage) -> set[lanes.LaneKey]:
    """The lanes that the message's recipients wait in."""
    domains = {recipient.address.domain for recipient in message.recipients}
    return {(message.tenant_id, message.stream_id, domain) for domain in domains}


def lanes_of(
    messages: Sequence[NewMessage], facts: Sequence[StreamFacts], now: int
) -> dict[lanes.LaneKey, lanes.Arm]:
    wanted: dict[lanes.LaneKey, lanes.Arm] = {}
    for message, fact in zip(messages, facts, strict=True):
        due = max(now, round((message.send_at or 0) * 1000))
        for key in keys_of(message):
            known = wanted.get(key)
            if known is None or due < known.due_at:
                wanted[key] = lanes.Arm(fact.priority, due)
    return wanted


class Created:
    """One message on its way into rows."""

    def __init__(self, message: NewMessage, fact: StreamFacts, now: int,
                 lane_ids: Mapping[lanes.LaneKey, int]) -> None:  # fmt: skip
        self.message, self.fact, self.now, self.lane_ids = message, fact, now, lane_ids
        self.id = message.message_id or new_id()
        self.ids = new_ids(len(message.recipients))
        addresses = [str(recipient.address) for recipient in message.recipients]
        self.addresses = addresses
        unwanted = suppressed_among(message.tenant_id, message.stream_id, addresses)
        self.suppressed = frozenset(
            index for index, address in enumerate(addresses) if address.lower() in unwanted
        )

    def message_row(self, digest: str) -> tuple[Any, ...]:
        m = self.message
        due = max(self.now, round((m.send_at or 0) * 1000))
        life_ends = due + self.fact.life_seconds * 1000
        expires = life_ends if m.expires_at is None else round(m.expires_at * 1000)
        return (
            self.id, m.tenant_id, m.stream_id, digest, m.reverse_path, m.sender_domain,
            m.subject[:200], m.campaign, orjson.dumps(list(m.tags)).decode(),
            orjson.dumps(dict(m.metadata)).decode(), m.origin, m.smtputf8, m.envid, m.ret,
            self.now, max(expires, self.now + 1),
        )  # fmt: skip

    def recipient_rows(self) -> list[tuple[Any, ...]]:
        m, now = self.message, self.now
        due = max(now, round((m.send_at or 0) * 1000))
        rows = []
        for index, recipient in enumerate(m.recipients):
            out = index in self.suppressed
            rows.append((
                self.ids[index], self.id,
                self.lane_ids[m.tenant_id, m.stream_id, recipient.address.domain],
                self.addresses[index], "suppressed" if out else "scheduled", 0,
                None if out else due,
                orjson.dumps(recipient.substitutions) if recipient.substitutions else None,
                orjson.dumps(recipient.metadata).decode() if recipient.metadata else "",
                recipient.notify, recipient.orcpt,
                "the address is suppressed" if out else "", "", now,
            ))  # fmt: skip
        return rows

    def events(self) -> list[outbox.NewEvent]:
        shared = outbox.message_fields(
            stream=self.fact.name, campaign=self.message.campaign, tags=list(self.message.tags),
            metadata=dict(self.message.metadata),
        )  # fmt: skip
        return [
            outbox.NewEvent(
                at=self.now,
                kind="suppression" if index in self.suppressed else "reception",
                tenant_id=self.message.tenant_id,
                tenant=self.fact.tenant_name,
                message_id=self.id,
                recipient_id=self.ids[index],
                to=self.addresses[index],
                fields=shared
                if not recipient.metadata
                else {**shared, "metadata": {**self.message.metadata, **recipient.metadata}},
            )
            for index, recipient in enumerate(self.message.recipients)
        ]

    def accepted(self) -> Accepted:
        return Accepted(self.id, tuple(self.ids), self.suppressed)
