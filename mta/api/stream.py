"""Reads events in the order of their ids, without ever skipping one.

Rule 1: an id below the cursor is never written later.
On SQLite there is one writer at a time and AUTOINCREMENT: ids are committed in their order.
On PostgreSQL a transaction draws an id before it commits, so a later id can be seen first. A reader
that moved past it would lose the earlier event. So nothing beyond the `horizon` is handed out.
"""

from __future__ import annotations

import time
from typing import Any

from django.db import connection

from mta.api.history import iso
from mta.events import contract
from mta.events.models import Event
from mta.mail.ids import encode
from mta.storage.fields import from_ms

#: Seconds that a reader waits for open transactions before it answers with what is certain.
PATIENCE = 1.0
POLL = 0.005
TABLE = Event._meta.db_table


def events(tenant_id: int, after: int, limit: int, kinds: list[str]) -> dict[str, Any]:
    """{items, next, more}: at most `limit` events behind the cursor, oldest first."""
    end = horizon()
    rows = Event.objects.filter(tenant_id=tenant_id, id__gt=max(after, 0))
    if end is not None:
        rows = rows.filter(id__lte=end)
    if kinds:
        rows = rows.filter(kind__in=kinds)
    found = list(rows.order_by("id")[: limit + 1])
    shown = found[:limit]
    return {
        "items": [as_dict(row) for row in shown],
        "next": encode(shown[-1].pk if shown else max(after, 0)),
        "more": len(found) > limit,
    }


def horizon() -> int | None:
    """The last id of which all ids up to it are decided; None: every id that can be seen.

    PostgreSQL: a writer holds the table's ROW EXCLUSIVE lock from before it draws its first id
    until its rows can be seen. So whoever drew an id below the present maximum either has ended,
    and is seen by a new snapshot, or is among the holders now: these are waited for, not those that
    come later. When one of them stays open, no id is certain and the answer is empty this time.
    """
    if connection.vendor != "postgresql":
        return None
    with connection.cursor() as cursor:
        cursor.execute(f'SELECT coalesce(max(id), 0) FROM "{TABLE}"')  # noqa: S608
        highest = int(cursor.fetchone()[0])
        writers = holders(cursor)
        give_up_at = time.monotonic() + PATIENCE
        while writers:
            if time.monotonic() > give_up_at:
                return 0
            time.sleep(POLL)
            writers &= holders(cursor)
    return highest


def holders(cursor: Any) -> set[str]:
    """Transactions of other connections that write events now."""
    cursor.execute(
        "SELECT virtualtransaction FROM pg_locks WHERE relation = %s::regclass "
        "AND mode = 'RowExclusiveLock' AND granted AND pid <> pg_backend_pid()",
        [TABLE],
    )
    return {row[0] for row in cursor.fetchall()}


def as_dict(row: Event) -> dict[str, Any]:
    """The event contract's fields."""
    data = contract.fields(row.data)
    if data.get("next_attempt_at"):
        data["next_attempt_at"] = iso(from_ms(round(data["next_attempt_at"] * 1000)))
    return {
        **data,
        "id": encode(row.pk),
        "at": iso(row.at),
        "kind": row.kind,
        "message_id": encode(row.message_id),
        "recipient_id": encode(row.recipient_id),
    }
