"""A person's orders to a warmup: hold, resume, advance, step back, restart.

Rule 1: an order acts at once on the day's cap, and is written down with who gave it and why.
Rule 2: what a person holds, only a person moves on; every other order lets it warm up again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType

from mta.control.refusal import Refused
from mta.delivery.warmup_days import change, tell, wake
from mta.egress.models import WarmupState
from mta.egress.sources import forget
from mta.policy.warmup_gate import Decision, Move, Status
from mta.storage.transactions import write

MOST_WORDS = 150


def hold(state: WarmupState, _: int) -> Decision:
    return Decision(Move.HOLD, state.stage, Status.HELD, "")


def resume(state: WarmupState, _: int) -> Decision:
    if state.status != Status.HELD:
        raise Refused("order", f"{state.reach} is not held: it is {state.status}")
    return Decision(Move.HOLD, state.stage, Status.WARMING, "")


def advance(state: WarmupState, stages: int) -> Decision:
    if state.status == Status.WARM:
        raise Refused("order", f"{state.reach} is warm: there is no further stage")
    if state.stage >= stages:
        return Decision(Move.DONE, state.stage, Status.WARM, "")
    return Decision(Move.ADVANCE, state.stage + 1, Status.WARMING, "")


def step_back(state: WarmupState, stages: int) -> Decision:
    if state.status == Status.WARM:  # back under the last cap
        return Decision(Move.STEP_BACK, max(stages, 1), Status.WARMING, "")
    if state.stage <= 1:
        raise Refused("order", f"{state.reach} is at the first stage")
    return Decision(Move.STEP_BACK, min(state.stage, stages) - 1 or 1, Status.WARMING, "")


def restart(state: WarmupState, _: int) -> Decision:
    return Decision(Move.RESTART, 1, Status.WARMING, "")


ORDERS: Mapping[str, Callable[[WarmupState, int], Decision]] = MappingProxyType(
    {"hold": hold, "resume": resume, "advance": advance, "step_back": step_back, "restart": restart}
)


def order(state_id: int, what: str, *, by: str, reason: str, now: datetime) -> WarmupState:
    """Do one of ORDERS to a state; the state as it is then.

    Refused: an order that is none or does not fit, no reason, or a state that is gone.
    """
    reason = " ".join(reason.split())
    if what not in ORDERS:
        raise Refused("order", f"{what!r} is none of {', '.join(ORDERS)}")
    if not reason or len(reason) > MOST_WORDS:
        raise Refused("reason", f"say why, in 1 to {MOST_WORDS} characters")

    def work() -> WarmupState:
        rows = WarmupState.objects.select_related("source__warmup_schedule")
        state = rows.select_for_update(of=("self",)).filter(pk=state_id).first()
        if state is None or state.source.warmup_schedule is None:
            raise Refused("state", "this warmup is over: the source has no schedule, or was idle")
        found = ORDERS[what](state, state.source.warmup_schedule.stages.count())
        decision = Decision(found.move, found.stage, found.status, f"{by}: {reason}"[:200])
        tell(state, Decision(found.move, found.stage, found.status, reason), by, None)
        change(state, decision, now.astimezone(UTC).date())
        state.save(update_fields=["stage", "status", "stage_started_on", "reason"])
        return state

    done = write(work)
    forget()
    wake([done], now)
    return done
