"""Events are written here, in the transaction of the state they tell of, and to the mail log.

Rule 1: an event is stored without the fields that say nothing; `contract.fields` puts them back.
Rule 2: the mail log gets the event without tags and metadata, which are the tenant's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from django.db import transaction

from mta.events import hooked
from mta.events.models import Event
from mta.mail.ids import encode
from mta.observe import maillog
from mta.storage import bulk

COLUMNS = ("at", "kind", "tenant_id", "message_id", "recipient_id", "data")
#: The tenant's own: stored, never logged.
PRIVATE = frozenset({"tags", "metadata"})
Row = tuple[int, str, int, int, int, str]


@dataclass(frozen=True, slots=True)
class NewEvent:
    """One event; `at` in milliseconds, `fields` are those of the contract beyond the named ones."""

    at: int
    kind: str
    tenant_id: int
    tenant: str
    message_id: int
    recipient_id: int
    to: str
    fields: Mapping[str, Any] = field(default_factory=dict)


def message_fields(
    *, stream: str, campaign: str, tags: Sequence[str], metadata: Mapping[str, Any]
) -> dict[str, Any]:
    """What all events of one message share."""
    return {"stream": stream, "campaign": campaign, "tags": tags, "metadata": metadata}


def write(events: Sequence[NewEvent]) -> None:
    """Store the events (inside the caller's transaction); log them once it has committed."""
    store([packed(event) for event in events])


def packed(event: NewEvent) -> tuple[Row, bytes]:
    """The event's row and its line of the mail log."""
    said = {name: value for name, value in event.fields.items() if value and name not in PRIVATE}
    private = {name: event.fields[name] for name in PRIVATE if event.fields.get(name)}
    core = orjson.dumps({"tenant": event.tenant, "to": event.to, **said})
    return pack(
        event.at, event.kind, event.tenant_id, event.message_id, event.recipient_id, core,
        orjson.dumps(private),
    )  # fmt: skip


def pack(
    at: int, kind: str, tenant_id: int, message_id: int, recipient_id: int, core: bytes,
    private: bytes,
) -> tuple[Row, bytes]:  # fmt: skip
    """An event's row and line from two JSON objects: what is logged too, and what is not."""
    data = core if len(private) <= 2 else b"%b,%b" % (core[:-1], private[1:])
    line = b'{"at":%.3f,"kind":"%b","id":"%b","recipient":"%b",%b\n' % (
        at / 1000, kind.encode(), encode(message_id).encode(), encode(recipient_id).encode(),
        core[1:],
    )  # fmt: skip
    return (at, kind, tenant_id, message_id, recipient_id, data.decode()), line


def insert(rows: Sequence[Row]) -> None:
    """Store the rows of events, and tell the operator's hook once they are committed."""
    bulk.insert(Event, COLUMNS, rows)
    hooked.tell_on_commit(rows)


def store(events: Sequence[tuple[Row, bytes]]) -> None:
    """Store packed events; see `write`."""
    if not events:
        return
    insert([row for row, _ in events])
    lines = b"".join([line for _, line in events])
    # Robust: what is committed is done, whatever becomes of its line.
    transaction.on_commit(lambda: maillog.append(lines), robust=True)
