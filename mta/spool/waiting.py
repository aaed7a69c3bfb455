"""Lanes that wait as a whole: a limit or a person lets nothing of them through before an instant.

Rule 1: what keeps a lane back is its gate: the keys of limits, of which one is enough to let it go
        on, or `suspended(scope, key)`.
Rule 2: the lane waits, its recipients stay as they are: none is tried, rewritten or asked again.
Rule 3: whoever ends the reason releases the gate; a lane that nobody releases wakes by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from django.db import connection

from mta.spool import lanes
from mta.spool.lanes import Note
from mta.storage import bulk
from mta.storage.fields import now_ms
from mta.storage.transactions import write

#: Between the keys of a gate; no name has it. A gate that is longer is left out.
SEPARATOR, LONGEST_GATE = " | ", 1000


class PutOff(NamedTuple):
    """A lane that shall wait until an instant (ms)."""

    lane_id: int
    until: int
    gate: str
    reason: str


def suspended(scope: str, key: str) -> str:
    """The gate of what a person suspended."""
    return f"suspended:{scope}:{key}"


def put_off(waits: Sequence[PutOff]) -> None:
    """Let lanes wait; one that waits longer already keeps the later instant's reason."""
    if waits:
        notes = [
            Note(one.lane_id, due_at=one.until, wait_until=one.until, gate=one.gate,
                 hold_reason=one.reason[:200] or None)
            for one in waits
        ]  # fmt: skip
        write(lambda: lanes.note(notes), durable=False)


def release(gate: str) -> int:
    """Let lanes behind this gate go now; returns how many. The caller rings the dispatcher."""
    return let_go(*behind([gate]))


def behind(gates: Sequence[str]) -> tuple[str, list[str]]:
    """SQL of "waits behind one of these"."""
    place = "strpos" if lanes.is_postgresql() else "instr"
    one = f"{place}('{SEPARATOR}' || gate || '{SEPARATOR}', %s) > 0"
    params = [f"{SEPARATOR}{gate}{SEPARATOR}" for gate in gates]
    return f"gate <> '' AND ({' OR '.join([one] * len(gates))})", params


def shorten(gates: Sequence[str], until: int) -> int:
    """Let lanes behind these gates wait until an instant (ms) at most; returns how many do."""

    def work() -> int:
        condition, params = behind(gates)
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE spool_lane SET wait_until = %s, "  # noqa: S608
                "due_at = CASE WHEN due_at IS NULL THEN NULL ELSE %s END "
                f"WHERE {condition} AND wait_until > %s",
                [until, until, *params, until],
            )
            return int(cursor.rowcount)

    return write(work, durable=False) if gates else 0


def release_all(at: int = 0) -> int:
    """Let every lane go, at an instant (ms; 0 now), that a limit or a person keeps back."""
    return let_go("gate <> ''", [], at)


def wake(lane_ids: Sequence[int]) -> None:
    """Forget what these lanes wait for, in the caller's transaction, which arms them.

    A limit that still holds puts them off anew.
    """
    if lane_ids:
        condition, params = bulk.numbers("id", list(lane_ids))
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE spool_lane SET wait_until = 0, gate = '', hold_reason = '' "  # noqa: S608
                f"WHERE {condition}",
                params,
            )


def let_go(condition: str, params: Sequence[str], at: int = 0) -> int:
    def work() -> int:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE spool_lane SET wait_until = 0, gate = '', hold_reason = '', "  # noqa: S608
                "due_at = CASE WHEN due_at IS NULL THEN NULL ELSE %s END "
                f"WHERE {condition}",
                [max(at, now_ms()), *params],
            )
            return int(cursor.rowcount)

    return write(work, durable=False)
