"""Why a recipient has not been delivered yet, in one sentence, and when it is tried next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mta.policy.lifecycle import State


@dataclass(frozen=True, slots=True)
class Waiting:
    """What is known of a recipient and its lane; `suspended` is why its site or tenant waits."""

    state: str
    next_attempt_at: datetime | None
    attempts: int
    last_reply: str
    #: Before this nothing of its lane goes; `hold_reason` says why.
    wait_until: datetime | None
    hold_reason: str
    suspended: str


@dataclass(frozen=True, slots=True)
class NextAttempt:
    """`at` is empty when nothing is planned; `why` is empty in a final state."""

    at: datetime | None
    why: str


def next_attempt(w: Waiting, now: datetime) -> NextAttempt:
    """When the next attempt comes and why not now."""
    if w.state == State.HELD:
        said = f" ({w.last_reply})" if w.last_reply else ""
        return NextAttempt(None, f"Held{said}: it waits until somebody releases it.")
    if w.state == State.CLAIMED:
        return NextAttempt(None, "An attempt is under way.")
    if w.state not in {State.SCHEDULED, State.DEFERRED} or w.next_attempt_at is None:
        return NextAttempt(None, "")
    if w.suspended:
        return NextAttempt(None, f"Suspended: {w.suspended}.")
    if w.wait_until is not None and w.wait_until > max(now, w.next_attempt_at):
        return NextAttempt(w.wait_until, f"Mail to this domain waits: {w.hold_reason}.")
    if w.next_attempt_at <= now:
        return NextAttempt(w.next_attempt_at, "It is due and waits for its turn.")
    if w.state == State.DEFERRED:
        reply = w.last_reply or "no reply"
        return NextAttempt(
            w.next_attempt_at,
            f"Attempt {w.attempts} failed for now ({reply}); the retry schedule sets the next.",
        )
    return NextAttempt(w.next_attempt_at, "Its send_at has not come.")
