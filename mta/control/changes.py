"""Hold, release, retry and bounce what waits: in batches, each one transaction.

Rule 1: a change is a compare-and-swap on the state; who may come from where is lifecycle's to say.
Rule 2: a claimed recipient is left alone: its reply may be on its way.
Rule 3: lanes are made to tell the truth in the transaction that changes their recipients, events
        and DSNs are written in it, and so is the decision that names who ordered it.
"""

from __future__ import annotations

import logging
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db import connection

from mta.control import ending
from mta.control.audit import Audit
from mta.control.selection import Selection
from mta.policy.lifecycle import TRANSITIONS, WAITING, State
from mta.spool import inject, lanes, waiting
from mta.spool.claim import RETURNED
from mta.storage import bulk
from mta.storage.fields import now_ms
from mta.storage.transactions import write

log = logging.getLogger(__name__)
#: Recipients of one transaction: short enough that delivery hardly waits for it.
BATCH = 500
#: What was said of a recipient before somebody held it: the reply to its last attempt.
LAST_REPLY = (
    "CASE WHEN attempts = 0 THEN '' ELSE coalesce((SELECT substr(a.reply, 1, 500) "
    "FROM spool_attempt a WHERE a.recipient_id = spool_recipient.id "
    "ORDER BY a.id DESC LIMIT 1), '') END"
)
#: (recipient id, lane id, next attempt in ms or None)
Swapped = tuple[int, int, int | None]
#: Changes some recipients at an instant (ms); how many it changed, and senders told.
Work = Callable[[Sequence[int], int], tuple[int, int]]


def before(new: State) -> frozenset[State]:
    """The states from which a person may bring a recipient to `new`."""
    return frozenset(state for state in State if new in TRANSITIONS[state]) - {State.CLAIMED}


#: States that each action takes.
TAKES: dict[str, frozenset[State]] = {
    "hold": before(State.HELD),
    "release": frozenset({State.HELD}),
    "retry": WAITING,
    "bounce": before(State.ADMIN_BOUNCED),
    "move": WAITING | {State.HELD},
}


@dataclass(frozen=True, slots=True)
class Done:
    """How many recipients changed, and how many senders were told."""

    changed: int
    dsns: int = 0


def hold(
    selection: Selection, *, by: str, reason: str = "", kind: str = "hold", said: str = ""
) -> Done:
    """Keep waiting recipients back until they are released; their next attempt is remembered.

    `said` becomes the last word on them, by default that an operator did; `release` gives the
    reply of the last attempt back.
    """
    by_hand = f"held by an operator: {reason}" if reason else "held by an operator"
    words = (said or by_hand)[:500]

    def work(ids: Sequence[int], now: int) -> tuple[int, int]:
        swapped = swap("hold", selection, ids, "state = 'held', last_reply = %s", [words])
        settle_lanes(swapped)
        return len(swapped), 0

    return run("hold", selection, work, Audit(kind, selection, by, reason))


def release(selection: Selection, *, by: str, reason: str = "", kind: str = "release") -> Done:
    """Let held recipients go on, not before the time that they had to wait for anyway."""

    def work(ids: Sequence[int], now: int) -> tuple[int, int]:
        later = "CASE WHEN next_attempt_at > %s THEN next_attempt_at ELSE %s END"
        assigned = f"state = {RETURNED}, next_attempt_at = {later}, last_reply = {LAST_REPLY}"
        swapped = swap("release", selection, ids, assigned, [now, now])
        arm(swapped, now)
        return len(swapped), 0

    return run("release", selection, work, Audit(kind, selection, by, reason))


def retry(selection: Selection, *, by: str, reason: str = "") -> Done:
    """Make waiting recipients due now; those that are due keep their place in the queue.

    What their lanes wait for is looked at anew.
    """

    def work(ids: Sequence[int], now: int) -> tuple[int, int]:
        sooner = "CASE WHEN next_attempt_at < %s THEN next_attempt_at ELSE %s END"
        swapped = swap("retry", selection, ids, f"next_attempt_at = {sooner}", [now, now])
        waiting.wake(sorted({lane_id for _, lane_id, _ in swapped}))
        arm(swapped, now)
        return len(swapped), 0

    return run("retry", selection, work, Audit("retry", selection, by, reason))


def bounce(
    selection: Selection, *, by: str, reason: str = "", dsn: bool = False, kind: str = "bounce",
    data: Mapping[str, Any] | None = None,
) -> Done:  # fmt: skip
    """End waiting and held recipients for good, with an event; `dsn` tells their senders.

    A DSN goes only where one would go after a refusal: never against NOTIFY (RFC 3461), never to
    the null reverse path, never for a stream that sends none.
    """
    said = f"ended by an operator: {reason}" if reason else "ended by an operator"

    def work(ids: Sequence[int], now: int) -> tuple[int, int]:
        assigned = "state = 'admin_bounced', next_attempt_at = NULL, last_reply = %s"
        swapped = swap("bounce", selection, ids, assigned, [said[:500]])
        dsns = ending.tell([row[0] for row in swapped], said, now, dsn=dsn)
        settle_lanes(swapped)
        return len(swapped), dsns

    done = run("bounce", selection, work, Audit(kind, selection, by, reason, data or {}))
    ending.count(done.changed, done.dsns)
    return done


def run(name: str, selection: Selection, work: Work, audit: Audit) -> Done:
    """Do `work` on batch after batch in the order of ids, each in its transaction; then ring.

    What arrives while this runs was not in the preview: it stays as it is.
    """
    # Read once: to page through them would sort what a filter finds again for each page.
    rows = selection.rows(TAKES[name]).values_list("pk", flat=True)
    ids = array("q", sorted(rows))
    changed = dsns = 0
    for start in range(0, len(ids), BATCH):
        step = partial(one_batch, work, ids[start : start + BATCH], audit)
        number, told, audit.row = write(step)
        changed, dsns = changed + number, dsns + told
    if changed:
        inject.ring()
    log.info("%s: %d recipients by %s, ordered by %s", audit.kind, changed, selection, audit.by)
    return Done(changed, dsns)


def one_batch(work: Work, ids: Sequence[int], audit: Audit) -> tuple[int, int, int | None]:
    """(changed, senders told, row of the decision); the caller holds the transaction."""
    changed, told = work(ids, now_ms())
    return changed, told, audit.count(changed)


def swap(
    name: str, selection: Selection, ids: Sequence[int], assigned: str, params: Sequence[Any]
) -> list[Swapped]:
    """Change those of `ids` that are still in a state that the action takes; the others are not
    there any more or have been claimed since they were read, which is no error."""
    takes = TAKES[name] if selection.states is None else TAKES[name] & selection.states
    chosen, chosen_params = bulk.numbers("id", ids)
    marks = ", ".join(f"'{state.value}'" for state in sorted(takes))
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE spool_recipient SET {assigned}, updated_at = %s "  # noqa: S608
            f"WHERE {chosen} AND state IN ({marks}) RETURNING id, lane_id, next_attempt_at",
            [*params, now_ms(), *chosen_params],
        )
        found: list[Swapped] = cursor.fetchall()
        return found


def arm(swapped: Sequence[Swapped], now: int) -> None:
    """Make the lanes due no later than their recipients."""
    due: dict[int, int] = {}
    for _, lane, next_at in swapped:
        at = now if next_at is None else next_at
        due[lane] = min(at, due.get(lane, at))
    lanes.arm_by_id(due)


def settle_lanes(swapped: Sequence[Swapped]) -> None:
    """Let the lanes forget recipients that wait no more; locked first, as rearm asks."""
    touched = sorted({lane for _, lane, _ in swapped})
    if touched:
        lanes.lock(touched)
        lanes.rearm(touched)
