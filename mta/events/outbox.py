"""Events are written here, in the transaction of the state they tell of, and to the mail log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from django.db import transaction

from mta.events.models import Event
from mta.mail.ids import encode
from mta.observe import maillog
from mta.storage import bulk

COLUMNS = ("at", "kind", "tenant_id", "message_id", "recipient_id", "data")


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
    if not events:
        return
    rows = [
        (e.at, e.kind, e.tenant_id, e.message_id, e.recipient_id,
         orjson.dumps({"tenant": e.tenant, "to": e.to, **e.fields}).decode())
        for e in events
    ]  # fmt: skip
    bulk.insert(Event, COLUMNS, rows)
    # Robust: what is committed is done, whatever becomes of its line.
    transaction.on_commit(lambda: maillog.write([line(event) for event in events]), robust=True)


def line(event: NewEvent) -> dict[str, Any]:
    """The mail log's line: ids as people type them; metadata is the tenant's own, not for logs."""
    kept = {k: v for k, v in event.fields.items() if k not in {"metadata", "tags"} and v}
    return {
        "at": event.at / 1000,
        "kind": event.kind,
        "id": encode(event.message_id),
        "recipient": encode(event.recipient_id),
        "to": event.to,
        "tenant": event.tenant,
        **kept,
    }
