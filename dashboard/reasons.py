"""Why a recipient is where it is, in one sentence, and what happens next.

Rule 1: the sentence names the cause that is known, never a guess.
Rule 2: a wait that a person ordered says who can end it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from dashboard.display import ago
from mta.egress.models import Suspension
from mta.policy.lifecycle import State
from mta.spool.models import Lane, Recipient

FINAL_WORDS = {
    State.DELIVERED: "The receiver took responsibility for it.",
    State.BOUNCED: "Refused for good; it is not tried again.",
    State.EXPIRED: "Its time ran out before a receiver took it.",
    State.SUPPRESSED: "The address is on the suppression list; nothing was sent.",
    State.ADMIN_BOUNCED: "A person ended it.",
}


def why(
    row: Recipient, lane: Lane | None, now: datetime, suspensions: Sequence[Suspension] = ()
) -> str:
    """The sentence for this recipient."""
    if row.state in FINAL_WORDS:
        return FINAL_WORDS[State(row.state)]
    if row.state == State.HELD:
        return "Held until a person releases it."
    if row.state == State.CLAIMED:
        if row.claimed_until and row.claimed_until < now:
            return "The worker that had it is gone; its claim goes back with the next sweep."
        until = f"; its claim ends {ago(row.claimed_until, now)}" if row.claimed_until else ""
        return f"A worker has it in hand{until}."
    if suspensions:
        found = suspensions[0]
        because = f" ({found.reason})" if found.reason else ""
        whose = f"Mail of tenant {found.key}" if found.scope == "tenant" else f"Mail to {found.key}"
        return f"{whose} is suspended{because}; an operator can resume it."
    return waiting_reason(row, lane, now)


def waiting_reason(row: Recipient, lane: Lane | None, now: datetime) -> str:
    due = row.next_attempt_at is None or row.next_attempt_at <= now
    if due and lane is not None and lane.hold_reason:
        return f"Due, but its queue waits: {lane.hold_reason}."
    if due:
        return "Due: it goes with the next batch of its queue."
    if row.state == State.DEFERRED or row.attempts:
        tries = "once" if row.attempts == 1 else f"{row.attempts} times"
        return f"Tried {tries}; the receiver said it may work later, and the wait grows each time."
    if lane is not None and lane.hold_reason:
        return f"Put off before any attempt: {lane.hold_reason}."
    return "Not before the time its sender asked for."
