"""Lanes: when the next recipient of a stream and domain is due. Dispatch looks at nothing else.

Rule 1: whoever makes a recipient waiting arms its lane in the same transaction.
Rule 2: a lane's due_at is never later than its earliest waiting recipient; earlier costs one look.
Rule 3: lanes are locked in the order of their key, so that two transactions never wait in a circle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.db import connection

#: (tenant id, stream id, domain)
LaneKey = tuple[int, int, str]


@dataclass(frozen=True, slots=True)
class Arm:
    """What a lane needs to exist: its priority and when its next recipient is due (ms)."""

    priority: int
    due_at: int


def arm(wanted: Mapping[LaneKey, Arm]) -> dict[LaneKey, int]:
    """Make sure each lane exists and is due no later than asked; returns lane ids by key."""
    keys = sorted(wanted)
    ids: dict[LaneKey, int] = {}
    for start in range(0, len(keys), 500):
        part = keys[start : start + 500]
        marks = ", ".join(["(%s, %s, %s, %s, %s, 100, '', '', '')"] * len(part))
        params = [v for key in part for v in (*key, wanted[key].priority, wanted[key].due_at)]
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO spool_lane (tenant_id, stream_id, domain, priority, due_at, "  # noqa: S608
                f'"window", site, last_reply, hold_reason) VALUES {marks} '
                "ON CONFLICT (tenant_id, stream_id, domain) DO UPDATE SET due_at = CASE "
                "WHEN spool_lane.due_at <= excluded.due_at THEN spool_lane.due_at "
                "ELSE excluded.due_at END "
                "RETURNING id, tenant_id, stream_id, domain",
                params,
            )
            for lane_id, tenant_id, stream_id, domain in cursor.fetchall():
                ids[tenant_id, stream_id, domain] = lane_id
    return ids


def lock(lane_ids: Iterable[int], also: Sequence[LaneKey] = ()) -> None:
    """Hold these lanes until the transaction ends, `also` where they exist; in rule 3's order.

    On SQLite a writer holds the whole database.
    """
    wanted = sorted(set(lane_ids))
    if connection.vendor != "postgresql" or not wanted:
        return
    with connection.cursor() as cursor:
        if also:
            cursor.execute(
                "SELECT l.id FROM unnest(%s::bigint[], %s::bigint[], %s::varchar[]) "
                "AS k(tenant, stream, domain) JOIN spool_lane l ON l.tenant_id = k.tenant "
                "AND l.stream_id = k.stream AND l.domain = k.domain",
                [[key[part] for key in also] for part in range(3)],
            )
            wanted += [row[0] for row in cursor.fetchall()]
        cursor.execute(
            "SELECT id FROM spool_lane WHERE id = ANY(%s) "
            # The order in which Python sorts keys, whatever the database's own collation.
            'ORDER BY tenant_id, stream_id, domain COLLATE "C" FOR UPDATE',
            [wanted],
        )


def arm_by_id(due: Mapping[int, int]) -> None:
    """Make existing lanes due no later than asked: lane id -> milliseconds.

    Locked first: a claim that is about to disarm a lane has not seen the caller's recipients, so
    the comparison must see what the claim wrote.
    """
    lock(due)
    with connection.cursor() as cursor:
        cursor.executemany(
            "UPDATE spool_lane SET due_at = %s WHERE id = %s AND (due_at IS NULL OR due_at > %s)",
            [(due[lane], lane, due[lane]) for lane in sorted(due)],
        )


def rearm(lane_ids: Iterable[int]) -> None:
    """Set due_at to what the recipients say; the caller holds the lanes' locks."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "UPDATE spool_lane SET due_at = (SELECT min(next_attempt_at) FROM spool_recipient "
            "WHERE lane_id = %s AND state IN ('scheduled', 'deferred')) WHERE id = %s",
            [(lane, lane) for lane in sorted(set(lane_ids))],
        )
