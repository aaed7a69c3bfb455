"""Retention: what is finished or old goes, in transactions so small that delivery hardly waits.

Rule 1: a message goes when it was taken in, and last changed, longer ago than the setting says and
        every recipient is in a final state. What waits, is claimed or held stays, however old.
Rule 2: nothing leaves a final state and no message gets recipients later, so what was seen to be
        finished may be deleted afterwards; a large message goes in parts, its row last.
Rule 3: a body goes with its last message, and only when nobody took it up for a day: an injection
        that shares it locks its row and sets created_at, so one of the two sees the other.
Rule 4: a transaction deletes at most `limit` recipients or events, and as long as it took others
        have the database to themselves. To lose it to a power failure does no harm.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mta import wiring
from mta.policy.lifecycle import FINAL
from mta.spool.ids import EPOCH_MS, RANDOM_BITS
from mta.spool.lanes import is_postgresql
from mta.storage.bulk import numbers
from mta.storage.fields import now_ms
from mta.storage.statement import rows
from mta.storage.transactions import write

DAY_MS = 86_400_000
#: Decisions are the audit of people and machine; they are kept for this long.
DECISION_DAYS = 90
#: Messages that one look passes over: behind many that are not finished it goes on next time.
MESSAGES_A_LOOK = 200
#: Key of PostgreSQL's lock that lets one process forget at a time; any number that nobody else has.
LOCK = 0x6D61696C
FINISHED = ", ".join(f"'{state.value}'" for state in sorted(FINAL))


@dataclass(slots=True)
class Place:
    """How far this process has looked; it starts again at the oldest when it is through."""

    message_id: int = 0


_place = Place()


def forget(*, limit: int = 1000, seconds: float = 5.0, now: int | None = None) -> int:
    """Delete what is past its time, oldest first; returns the number of rows deleted.

    `limit` recipients or events a transaction, for at most `seconds`; `now` in ms. What is left
    goes the next time. 0 days in the settings keep for ever.
    """
    config = wiring.config()
    at = now_ms() if now is None else now
    ends = time.monotonic() + seconds
    count = 0
    if config.retention_days:
        before = at - config.retention_days * DAY_MS
        while time.monotonic() < ends:
            deleted = messages(before, at - DAY_MS, limit)
            if deleted is None:
                break
            count += deleted
    if config.event_retention_days:
        before = at - config.event_retention_days * DAY_MS
        while time.monotonic() < ends and (deleted := oldest("events_event", before, limit)):
            count += deleted
    before = at - DECISION_DAYS * DAY_MS
    while time.monotonic() < ends and (deleted := oldest("events_decision", before, limit)):
        count += deleted
    return count


@dataclass(frozen=True, slots=True)
class Finished:
    """What one transaction deletes: messages that go whole, and recipients of theirs or others."""

    message_ids: Sequence[int]
    recipient_ids: Sequence[int]


def messages(before: int, unused_since: int, limit: int) -> int | None:
    """One step through messages taken in before `before` (ms); rows deleted, None at the end.

    Bodies go that nobody has taken up since `unused_since`.
    """
    seen = rows(
        "SELECT id, created_at FROM spool_message WHERE id > %s AND id < %s ORDER BY id LIMIT %s",
        [_place.message_id, (before - EPOCH_MS) << RANDOM_BITS, MESSAGES_A_LOOK],
    )
    if not seen:
        _place.message_id = 0
        return None
    begun = time.monotonic()
    last, found = finished(dict(seen), before, limit)
    deleted = 0
    if found.message_ids or found.recipient_ids:
        deleted = write(lambda: delete(found, unused_since), durable=False)
        if not deleted:  # another process is at it
            return None
    _place.message_id = last
    rest(begun)
    return deleted


def finished(created: Mapping[int, int], before: int, limit: int) -> tuple[int, Finished]:
    """(message up to which all is dealt with, what can go now); `created` is id -> instant, by id.

    Recipients are read along the index of their messages, `limit` of them however many there are.
    """
    ids = list(created)
    seen = rows(
        "SELECT message_id, id, "  # noqa: S608
        f"CASE WHEN state IN ({FINISHED}) AND updated_at < %s THEN 1 ELSE 0 END "
        "FROM spool_recipient WHERE message_id >= %s AND message_id <= %s "
        "ORDER BY message_id LIMIT %s",
        [before, ids[0], ids[-1], limit],
    )
    cut = seen[-1][0] if len(seen) == limit else None
    if cut is not None and seen[0][0] == cut:  # a message larger than a step
        if created.get(cut, before) >= before or unfinished(cut, before):
            return cut, Finished([], [])
        return cut - 1, Finished([], [row[1] for row in seen])
    # A message that the limit cut through waits for the next step.
    whole = [one for one in ids if cut is None or one < cut]
    stays = {row[0] for row in seen if not row[2]}
    go = {one for one in whole if one not in stays and created[one] < before}
    chosen = [row[1] for row in seen if row[0] in go]
    return cut - 1 if cut is not None else ids[-1], Finished(sorted(go), chosen)


def unfinished(message_id: int, before: int) -> bool:
    """Whether a recipient of the message stays."""
    return bool(
        rows(
            "SELECT 1 FROM spool_recipient WHERE message_id = %s "  # noqa: S608
            f"AND NOT (state IN ({FINISHED}) AND updated_at < %s) LIMIT 1",
            [message_id, before],
        )
    )


def delete(found: Finished, unused_since: int) -> int:
    """Delete in the caller's transaction, children first; returns the number of rows."""
    if not alone():
        return 0
    count = 0
    if found.recipient_ids:
        attempts, params = numbers("recipient_id", found.recipient_ids)
        count += delete_from("spool_attempt", attempts, params)
        recipients, params = numbers("id", found.recipient_ids)
        # The state once more: whatever is wrong above, nothing that waits is deleted.
        count += delete_from("spool_recipient", f"{recipients} AND state IN ({FINISHED})", params)
    if found.message_ids:
        chosen, params = numbers("id", found.message_ids)
        gone = rows(
            f"DELETE FROM spool_message WHERE {chosen} AND NOT EXISTS (SELECT 1 "  # noqa: S608
            "FROM spool_recipient r WHERE r.message_id = spool_message.id) RETURNING body_id",
            params,
        )
        count += len(gone) + bodies(sorted({row[0] for row in gone}), unused_since)
    return count


def delete_from(table: str, condition: str, params: Sequence[object]) -> int:
    return len(rows(f"DELETE FROM {table} WHERE {condition} RETURNING 1", list(params)))  # noqa: S608


def bodies(names: Sequence[str], unused_since: int) -> int:
    """Delete those of the bodies that no message has (rule 3)."""
    if not names:
        return 0
    params: list[object]
    if is_postgresql():
        chosen, params = "digest = ANY(%s::text[])", [list(names)]
    else:
        chosen, params = f"digest IN ({', '.join(['%s'] * len(names))})", list(names)
    unused = "NOT EXISTS (SELECT 1 FROM spool_message m WHERE m.body_id = spool_body.digest)"
    condition = f"{chosen} AND created_at < %s AND {unused}"
    return delete_from("spool_body", condition, [*params, unused_since])


def alone() -> bool:
    """Whether no other process forgets now: two that each delete one of a body's last two messages
    would both leave it. SQLite has one writer."""
    return not is_postgresql() or bool(rows("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])[0][0])


def oldest(table: str, before: int, limit: int) -> int:
    """Delete the oldest rows, at most `limit`, of what happened before `before` (ms)."""
    begun = time.monotonic()
    seen = rows(f"SELECT id, at FROM {table} ORDER BY id LIMIT %s", [limit])  # noqa: S608
    old = [row[0] for row in seen if row[1] < before]
    if not old:
        return 0
    condition, params = numbers("id", old)
    count = write(lambda: delete_from(table, condition, params), durable=False)
    rest(begun)
    return count


def rest(begun: float) -> None:
    """Leave the database to others for as long as the step took, at most a second."""
    time.sleep(min(1.0, time.monotonic() - begun))
