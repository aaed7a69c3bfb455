"""Why a recipient is where it is, in one sentence, and when it is tried next.

Rule 1: for mail that still waits, people read what programs read (mta.api.waiting).
Rule 2: a wait that a person ordered says who can end it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from mta.api.waiting import NextAttempt, Waiting, next_attempt
from mta.egress.models import Suspension
from mta.policy.lifecycle import State
from mta.spool.models import Claim, Recipient

FINAL_WORDS = {
    State.DELIVERED: "The receiver took responsibility for it.",
    State.BOUNCED: "Refused for good; it is not tried again.",
    State.EXPIRED: "Its time ran out before a receiver took it.",
    State.SUPPRESSED: "The address is on the suppression list; nothing was sent.",
    State.ADMIN_BOUNCED: "A person ended it.",
}


def outlook(row: Recipient, now: datetime, suspensions: Sequence[Suspension] = ()) -> NextAttempt:
    """Next attempt and reason; `suspensions` are those in force for it, `row.lane` is loaded."""
    if row.state in FINAL_WORDS:
        return NextAttempt(None, FINAL_WORDS[State(row.state)])
    if row.state == State.CLAIMED and claim_ended(row, now):
        gone = "The worker that had it is gone; its claim goes back with the next sweep."
        return NextAttempt(None, gone)
    known = Waiting(
        state=row.state,
        next_attempt_at=row.next_attempt_at,
        attempts=row.attempts,
        last_reply=row.last_reply,
        wait_until=row.lane.wait_until,
        hold_reason=row.lane.hold_reason,
        suspended=sentence(suspensions[0]) if suspensions else "",
    )
    return next_attempt(known, now)


def claim_ended(row: Recipient, now: datetime) -> bool:
    token = row.claim_token
    return token is not None and Claim.objects.filter(token=token, ends_at__lt=now).exists()


def sentence(found: Suspension) -> str:
    """What a suspension stops, why, and who can end it."""
    whose = f"mail of tenant {found.key}" if found.scope == "tenant" else f"mail to {found.key}"
    because = f" ({found.reason})" if found.reason else ""
    return f"{whose}{because}; an operator can resume it"
