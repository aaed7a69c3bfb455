"""What can happen to a recipient, and nothing else.

Rule 1: every state, and every allowed change of state, is in TRANSITIONS below.
Rule 2: a final state is left by nobody; there is no resurrection, only a new recipient.
Rule 3: only the holder of a claim moves a claimed recipient, so nobody bounces or holds mail whose
        reply is already on its way; an operator's wish waits for the claim to come back.
Rule 4: this file knows no database and no clock; spool.settle applies what it says.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class State(StrEnum):
    """The state of one recipient; the value is what the database and the API show."""

    SCHEDULED = "scheduled"
    CLAIMED = "claimed"
    DEFERRED = "deferred"
    HELD = "held"
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    EXPIRED = "expired"
    SUPPRESSED = "suppressed"
    ADMIN_BOUNCED = "admin_bounced"


class TransitionError(ValueError):
    """A change of state that TRANSITIONS does not allow: a bug in the caller."""


_LEAVING = frozenset({State.EXPIRED, State.SUPPRESSED, State.ADMIN_BOUNCED})
_NOTHING: frozenset[State] = frozenset()

TRANSITIONS: Mapping[State, frozenset[State]] = MappingProxyType(
    {
        State.SCHEDULED: frozenset({State.CLAIMED, State.HELD}) | _LEAVING,
        State.DEFERRED: frozenset({State.CLAIMED, State.HELD}) | _LEAVING,
        # Back to scheduled: the claim was returned or ran out before the first attempt.
        State.CLAIMED: frozenset(
            {
                State.SCHEDULED,
                State.DEFERRED,
                State.HELD,
                State.DELIVERED,
                State.BOUNCED,
                State.EXPIRED,
                State.SUPPRESSED,
            }
        ),
        # Released mail goes back to where it was: deferred once it has been attempted.
        State.HELD: frozenset({State.SCHEDULED, State.DEFERRED}) | _LEAVING,
        State.DELIVERED: _NOTHING,
        State.BOUNCED: _NOTHING,
        State.EXPIRED: _NOTHING,
        State.SUPPRESSED: _NOTHING,
        State.ADMIN_BOUNCED: _NOTHING,
    }
)

#: States that nothing leaves.
FINAL: frozenset[State] = frozenset(state for state, after in TRANSITIONS.items() if not after)

#: States from which a dispatcher may claim when next_attempt_at has come.
WAITING: frozenset[State] = frozenset({State.SCHEDULED, State.DEFERRED})


def check(old: State | str, new: State | str) -> None:
    """Raise TransitionError unless a recipient may go from `old` to `new`.

    Staying in a state is no transition and is refused too; a word that is no state is a ValueError.
    """
    before, after = State(old), State(new)
    if after not in TRANSITIONS[before]:
        allowed = ", ".join(sorted(TRANSITIONS[before])) or "nothing: the state is final"
        raise TransitionError(f"{before} cannot become {after}; allowed: {allowed}")
