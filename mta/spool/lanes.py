"""Lanes: when the next recipient of a stream and domain is due. Dispatch looks at nothing else.

Rule 1: whoever makes a recipient waiting arms its lane in the same transaction.
Rule 2: a lane's due_at is never later than its earliest waiting recipient; earlier costs one look.
        The same goes for earliest_at, where a claim begins to look; due_at is also put off.
Rule 3: due_at is never before wait_until, the instant that a limit named; whoever arms a lane that
        waits only says that there is something to wait for.
Rule 4: lanes are locked in the order of their key, so that two transactions never wait in a circle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import orjson
from django.db import connection

from mta.storage.statement import rows

WAITING = "state IN ('scheduled', 'deferred')"
#: Urgency of a lane: transactional, bulk to engaged recipients, other bulk.
TRANSACTIONAL, ENGAGED, BULK = 0, 1, 2
PRIORITIES = (TRANSACTIONAL, ENGAGED, BULK)
#: As people read it.
URGENCY = {TRANSACTIONAL: "transactional", ENGAGED: "engaged", BULK: "bulk"}
#: (tenant id, stream id, domain, priority, pool id; 0 is the stream's pool)
LaneKey = tuple[int, int, str, int, int]


@dataclass(frozen=True, slots=True)
class Note:
    """What a transaction has to say of a lane, instants in ms; of None it says nothing."""

    lane_id: int
    #: Something waits in it from then on.
    due_at: int | None = None
    site: str | None = None
    last_reply: str | None = None
    last_reply_at: int | None = None
    hold_reason: str | None = None
    window: int | None = None
    #: A limit holds the lane until then; its key.
    wait_until: int | None = None
    gate: str | None = None


NOTE_COLUMNS = {
    "id": "bigint", "due": "bigint", "site": "text", "reply": "text", "reply_at": "bigint",
    "reason": "text", "win": "int", "wait": "bigint", "gate": "text",
}  # fmt: skip


def is_postgresql() -> bool:
    return connection.vendor == "postgresql"


def no_sooner(due: str, wait: str) -> str:
    """SQL of rule 3: the later of the two instants; NULL when nothing is due."""
    return f"CASE WHEN {due} < {wait} THEN {wait} ELSE {due} END"


def sooner(due: str, other: str) -> str:
    """SQL of the earlier of two instants, of which `due` may be NULL."""
    return f"(CASE WHEN {due} <= {other} THEN {due} ELSE {other} END)"


def arm(wanted: Mapping[LaneKey, int]) -> dict[LaneKey, int]:
    """Make sure each lane exists and is due no later than asked (ms); returns lane ids by key."""
    due = no_sooner(sooner("spool_lane.due_at", "excluded.due_at"), "spool_lane.wait_until")
    keys = sorted(wanted)
    ids: dict[LaneKey, int] = {}
    for start in range(0, len(keys), 500):
        part = keys[start : start + 500]
        marks = ", ".join(["(%s, %s, %s, %s, %s, %s, %s, 100, 0, '', '', '', '')"] * len(part))
        params: list[Any] = [value for key in part for value in (*key, wanted[key], wanted[key])]
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO spool_lane (tenant_id, stream_id, domain, priority, pool_id, due_at, "  # noqa: S608
                'earliest_at, "window", wait_until, gate, site, last_reply, hold_reason) '
                f"VALUES {marks} ON CONFLICT (tenant_id, stream_id, domain, priority, pool_id) "
                f"DO UPDATE SET due_at = {due}, "
                f"earliest_at = {sooner('spool_lane.earliest_at', 'excluded.due_at')} "
                "RETURNING id, tenant_id, stream_id, domain, priority, pool_id",
                params,
            )
            for lane_id, *key in cursor.fetchall():
                ids[key[0], key[1], key[2], key[3], key[4]] = lane_id
    return ids


def lock(lane_ids: Iterable[int], also: Sequence[LaneKey] = ()) -> None:
    """Hold these lanes until the transaction ends, `also` where they exist; in rule 3's order.

    On SQLite a writer holds the whole database.
    """
    wanted = sorted(set(lane_ids))
    if not is_postgresql() or not (wanted or also):
        return
    if also:
        keys = [[key[part] for key in also] for part in range(5)]
        found = rows(
            "SELECT l.id FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::int[], %s::int[]) "
            "AS k(tenant, stream, domain, priority, pool) JOIN spool_lane l "
            "ON l.tenant_id = k.tenant AND l.stream_id = k.stream AND l.domain = k.domain "
            "AND l.priority = k.priority AND l.pool_id = k.pool",
            keys,
        )
        wanted += [row[0] for row in found]
    rows(
        "SELECT id FROM spool_lane WHERE id = ANY(%s::bigint[]) "
        # The order in which Python sorts keys, whatever the database's own collation.
        'ORDER BY tenant_id, stream_id, domain COLLATE "C", priority, pool_id FOR UPDATE',
        [wanted],
    )


def note(notes: Sequence[Note]) -> None:
    """Write what is said of existing lanes: they become due no later than said.

    The comparisons stand behind SET, where PostgreSQL makes them with the row as it is once it is
    ours: a claim that was about to disarm a lane has not seen the caller's recipients.
    """
    if not notes:
        return
    if len(notes) > 1:
        lock(one.lane_id for one in notes)
    values = [astuple(one) for one in notes]
    names = ", ".join(NOTE_COLUMNS)
    params: list[Any]
    if is_postgresql():
        arrays = ", ".join(f"%s::{kind}[]" for kind in NOTE_COLUMNS.values())
        source = f"unnest({arrays}) AS v({names})"
        params = [list(column) for column in zip(*values, strict=True)]
    else:
        parts = ", ".join(f"value ->> {n} AS {name}" for n, name in enumerate(NOTE_COLUMNS))
        source = f"(SELECT {parts} FROM json_each(%s)) AS v"  # noqa: S608
        params = [orjson.dumps(values).decode()]
    due = "(CASE WHEN v.due IS NULL OR due_at <= v.due THEN due_at ELSE v.due END)"
    rows(
        "UPDATE spool_lane SET "  # noqa: S608
        f"due_at = {no_sooner(due, 'coalesce(v.wait, wait_until)')}, "
        "wait_until = coalesce(v.wait, wait_until), gate = coalesce(v.gate, spool_lane.gate), "
        "earliest_at = CASE WHEN v.due < earliest_at THEN v.due ELSE earliest_at END, "
        "site = coalesce(v.site, spool_lane.site), "
        "last_reply = coalesce(v.reply, last_reply), "
        "last_reply_at = coalesce(v.reply_at, last_reply_at), "
        'hold_reason = coalesce(v.reason, hold_reason), "window" = coalesce(v.win, "window") '
        f"FROM {source} WHERE spool_lane.id = v.id",
        params,
    )


def arm_by_id(due: Mapping[int, int]) -> None:
    """Make existing lanes due no later than asked: lane id -> milliseconds."""
    note([Note(lane, due_at=at) for lane, at in sorted(due.items())])


def disarm(due: Sequence[tuple[int, int | None, int]]) -> None:
    """Set (lane id, due_at, earliest_at) of lanes that the caller has locked and looked through."""
    if not due:
        return
    if is_postgresql():
        rows(
            f"UPDATE spool_lane SET due_at = {no_sooner('v.due', 'wait_until')}, "  # noqa: S608
            "earliest_at = v.earliest "
            "FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS v(id, due, earliest) "
            "WHERE spool_lane.id = v.id",
            [list(values) for values in zip(*due, strict=True)],
        )
        return
    with connection.cursor() as cursor:
        cursor.executemany(
            "UPDATE spool_lane SET due_at = max(%s, wait_until), earliest_at = %s WHERE id = %s",
            [(at, earliest, lane) for lane, at, earliest in due],
        )


def rearm(lane_ids: Iterable[int]) -> None:
    """Set due_at to what the recipients say; the caller holds the lanes' locks."""
    first = f"(SELECT min(next_attempt_at) FROM spool_recipient WHERE lane_id = %s AND {WAITING})"  # noqa: S608
    with connection.cursor() as cursor:
        cursor.executemany(
            f"UPDATE spool_lane SET due_at = {no_sooner(first, 'wait_until')}, earliest_at = 0 "  # noqa: S608
            "WHERE id = %s",
            [(lane, lane, lane) for lane in sorted(set(lane_ids))],
        )
