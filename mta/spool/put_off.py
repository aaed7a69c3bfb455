"""Recipients that wait only because somebody put them off: who ends the reason brings them back."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connection

from mta.storage.bulk import numbers

#: Lanes of one statement.
PART = 500


def bring_back(lane_ids: Sequence[int], reasons: Sequence[str], due: int) -> int:
    """Let recipients of these lanes go at `due` (ms) that wait longer for one of the reasons.

    `reasons` are how their last reply begins. Returns how many; the caller holds the transaction.
    Reads one index range a lane, of what waits beyond `due`: not the backlog that is due anyway.
    """
    count = 0
    said = " OR ".join(["last_reply LIKE %s"] * len(reasons))
    for start in range(0, len(lane_ids), PART):
        condition, params = numbers("lane_id", lane_ids[start : start + PART])
        with connection.cursor() as cursor:
            cursor.execute(
                # The states stand in the text: else SQLite cannot use the index of what waits.
                f"UPDATE spool_recipient SET next_attempt_at = %s WHERE {condition} "  # noqa: S608
                "AND state IN ('scheduled', 'deferred') AND next_attempt_at > %s "
                f"AND ({said})",
                [due, *params, due, *(f"{reason}%" for reason in reasons)],
            )
            count += int(cursor.rowcount)
    return count
