"""The only door into the spool.

Rule 1: everything of one call is stored in one transaction, or nothing is.
Rule 2: the caller says "accepted" only after this returned: then it is on disk.
Rule 3: ringing the dispatcher may fail; the mail is stored and the sweep will find it.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import redis
from django.db import IntegrityError, transaction

from mta import wiring
from mta.events import outbox
from mta.mail import wire
from mta.mail.address import Address
from mta.mail.headers import split
from mta.mail.ids import encode
from mta.observe import maillog
from mta.spool import bodies, lanes
from mta.spool.ids import new_id, new_ids
from mta.spool.models import Message, Recipient
from mta.spool.rows import MESSAGE_COLUMNS, RECIPIENT_COLUMNS, Created
from mta.spool.streams import stream_facts
from mta.storage import bulk
from mta.storage.fields import now_ms
from mta.storage.transactions import write
from mta.suppression.lookup import suppressed_among

log = logging.getLogger(__name__)


class NewRecipient(NamedTuple):
    """Somebody a message is for; substitutions and metadata are JSON-like mappings."""

    address: Address
    substitutions: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] | None = None
    notify: str = ""
    orcpt: str = ""
    #: Known to read: of bulk mail it goes first. Means nothing for transactional mail.
    engaged: bool = False


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
    #: The content names message_id, so no other message has the same.
    unique: bool = False


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
    packed = [
        bodies.pack(m.kind, durable_content(m), encode(m.message_id) if m.unique else "")
        for m in messages
    ]

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
    made = created(messages, now)
    suppress(made)
    lane_ids = lanes.arm(lanes_of(made))
    message_rows, recipient_rows, events, lines = [], [], [], []
    for one, body in zip(made, packed, strict=True):
        message_rows.append(one.message_row(body.digest))
        recipient_rows += one.recipient_rows(lane_ids)
        told, logged = one.told()
        events += told
        lines += logged
    bulk.insert(Message, MESSAGE_COLUMNS, message_rows)
    bulk.insert(Recipient, RECIPIENT_COLUMNS, recipient_rows)
    outbox.insert(events)
    # Robust: what is committed is done, whatever becomes of its line.
    transaction.on_commit(lambda: maillog.append("".join(lines).encode()), robust=True)
    return [Accepted(one.id, tuple(one.ids), one.suppressed) for one in made]


def created(messages: Sequence[NewMessage], now: int) -> list[Created]:
    """The messages with ids for those that have none, and for all recipients."""
    ids = new_ids(sum(len(message.recipients) for message in messages))
    made, begin = [], 0
    for message in messages:
        end = begin + len(message.recipients)
        fact = stream_facts(message.stream_id)
        made.append(Created(message, fact, message.message_id or new_id(), ids[begin:end], now))
        begin = end
    return made


def suppress(made: Sequence[Created]) -> None:
    """Mark suppressed recipients: one look a stream."""
    streams = defaultdict(list)
    for one in made:
        streams[one.message.tenant_id, one.message.stream_id].append(one)
    for (tenant_id, stream_id), group in streams.items():
        addresses = [address for one in group for address in one.addresses]
        unwanted = suppressed_among(tenant_id, stream_id, addresses)
        if unwanted:
            for one in group:
                one.suppress(unwanted)


def lanes_of(made: Sequence[Created]) -> dict[lanes.LaneKey, int]:
    wanted: dict[lanes.LaneKey, int] = {}
    for one in made:
        for key in one.lane_keys:
            wanted[key] = min(one.due, wanted.get(key, one.due))
    return wanted
