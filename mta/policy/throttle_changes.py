"""What people are told of a throttled path: changes of importance, not every refusal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from mta.policy.throttle import PathState

#: A rate that fell to less than this share of what was told last is told again.
TOLD_AGAIN = 0.75
#: A stop of this length is told, ms.
LONG_STOP_MS = 60_000

#: Every kind of change, with its meaning as the pages show it.
KINDS: dict[str, str] = {
    "throttle_slowed": "the receiver takes less than is configured",
    "throttle_stopped": "the receiver takes nothing; one message tries now and then",
    "throttle_connections": "the receiver bears fewer connections than are configured",
    "throttle_blocked": "the receiver blocks the source; other sources of the pool take over",
    "throttle_dead": "no host of the site answers; one connection asks now and then",
    "throttle_recovered": "the path takes mail again",
    "throttle_ended": "the path has had for a while all that is configured",
    "throttle_reset": "a person put an end to it",
    "automation": "an automation acts on replies",
}


@dataclass(frozen=True, slots=True)
class Change:
    """One of KINDS, who decided, the reply that was the reason, and figures."""

    kind: str
    actor: str
    reason: str
    data: dict[str, Any] = field(default_factory=dict)


def changes(before: PathState, after: PathState | None) -> list[Change]:
    """What happened between two states of one path."""
    if after is None:
        kind = "throttle_recovered" if ended_fault(before, None) else "throttle_ended"
        worth = before.told or before.holds or before.crowd or kind == "throttle_recovered"
        return [Change(kind, "throttle", before.reason)] if worth else []
    return list(found(before, after))


def found(before: PathState, after: PathState) -> Iterator[Change]:
    old = {(hold.rule, hold.until) for hold in before.holds}
    for hold in after.holds:
        if (hold.rule, hold.until) not in old:
            data = {"rule": hold.rule, "action": hold.action, "until": hold.until}
            yield Change("automation", "automation", hold.reason, data)
    if tells_rate(before, after) and after.rate is not None:
        rate = round(after.rate.per_second() * 60, 2)
        yield throttle("slowed", after, per_minute=rate, until=after.rate.until)
    if stopped_ms(before) < LONG_STOP_MS <= stopped_ms(after):
        yield throttle("stopped", after, next_try=after.rate.until if after.rate else 0)
    if after.crowd is not None and (before.crowd is None or before.crowd.most > after.crowd.most):
        yield throttle("connections", after, connections=after.crowd.most)
    if after.block is not None and after.block.until > (before.block.until if before.block else 0):
        data = {"until": after.block.until, "level": after.block.level}
        yield throttle("blocked", after, **data)
    if died(after) and not died(before):
        yield throttle("dead", after, next_try=after.death.until if after.death else 0)
    if ended_fault(before, after):
        yield throttle("recovered", after)


def throttle(kind: str, state: PathState, **data: Any) -> Change:
    return Change(f"throttle_{kind}", "throttle", state.reason, data)


def tells_rate(before: PathState, after: PathState) -> bool:
    """Whether the rate fell far enough below what was told last."""
    rate = after.rate
    if rate is None or not rate.trying or (before.rate is not None and before.rate.trying):
        return False
    return not after.told or rate.per_second() < TOLD_AGAIN * after.told


def with_told(state: PathState, told: list[Change]) -> PathState:
    """The state remembers the rate that people were told."""
    if state.rate is not None and any(change.kind == "throttle_slowed" for change in told):
        return replace(state, told=state.rate.per_second())
    return state


def stopped_ms(state: PathState) -> int:
    return state.rate.pause if state.rate is not None and state.rate.trying else 0


def died(state: PathState) -> bool:
    return state.death is not None and state.death.certain


def ended_fault(before: PathState, after: PathState | None) -> bool:
    """Whether a death, a block or a long stop is over."""
    was_blocked = before.block is not None and before.block.level > 0
    is_blocked = after is not None and after.block is not None and after.block.level > 0
    was_stopped = stopped_ms(before) >= LONG_STOP_MS
    is_stopped = after is not None and stopped_ms(after) >= LONG_STOP_MS
    is_dead = after is not None and died(after)
    return (
        (died(before) and not is_dead)
        or (was_blocked and not is_blocked)
        or (was_stopped and not is_stopped)
    )
