"""An egress path as replies have changed it: each report of a connection makes the next state.

Rule 1: a path that replies have changed nothing on has no state, and a state ends when the path
        has had for a while all that is configured.
Rule 2: the provider's state and the site's hold beside each other; the narrower one wins.
Rule 3: what ends (a block, an automation) is followed by the rate's way back, never by full speed.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

from mta.policy import throttle_faults, throttle_rate
from mta.policy.throttle_faults import Block, Crowd, Death, Hold
from mta.policy.throttle_rate import Counts, Rate
from mta.policy.throttled import Throttled

#: A path that has had all that is configured for this long is forgotten, ms.
DONE_MS = 600_000
#: A state that nobody touched and nothing holds is forgotten after this long.
FORGET_MS = 3_600_000
#: Seconds' worth of messages that a throttled path may send at once.
BURST_SECONDS = 0.25
#: While one message tries, the next try is this far away at the nearest, ms.
TRY_MS = 10_000


@dataclass(frozen=True, slots=True)
class PathState:
    """One egress path, or a source's paths to a provider (`site` is "" then); instants in ms."""

    source: str
    site: str
    provider: str
    since: int
    #: Where the way back leads: messages a second (0: no limit) and connections, as configured.
    full: float = 0.0
    connections: int = 0
    #: The reply that changed it last.
    reason: str = ""
    rate: Rate | None = None
    crowd: Crowd | None = None
    block: Block | None = None
    death: Death | None = None
    holds: tuple[Hold, ...] = ()
    #: Since when the path has had all that is configured; 0: it has not.
    full_at: int = 0
    #: The rate that was last told to people.
    told: float = 0.0

    @property
    def key(self) -> str:
        return path_key(self.source, self.site or f"@{self.provider}")

    @property
    def gate(self) -> str:
        """What lanes wait for: the name of the bucket of the throttle's rate."""
        return f"throttle:{self.source}:{self.site or f'@{self.provider}'}"


def path_key(source: str, reach: str) -> str:
    """The name of a state; `reach` is a site, or "@" and a provider."""
    return f"{source}|{reach}"


@dataclass(frozen=True, slots=True)
class Seen:
    """What one connection, or a few, met; texts are replies, "" where there was none such."""

    counts: Counts = ()
    #: The receiver answered at all.
    answered: bool = False
    slow: str = ""
    crowded: str = ""
    blocked: str = ""
    #: The rule of the block reply says that the source is out at once.
    block_at_once: bool = False
    unreachable: str = ""
    holds: tuple[Hold, ...] = ()
    #: Messages a second (0: no limit) and connections of the path when it was chosen; as they are
    #: configured, unless it was throttled then.
    full: float = 0.0
    connections: int = 0
    throttled: bool = False
    #: Connections now open.
    open: int = 0
    level_before: int = 0

    @property
    def trouble(self) -> bool:
        return bool(self.slow or self.crowded or self.blocked or self.unreachable or self.holds)


def step(state: PathState, seen: Seen, now: int) -> PathState | None:
    """The state behind a report; None when nothing is left of it."""
    if not (seen.throttled and state.connections):
        state = replace(state, full=seen.full, connections=seen.connections)
    state = accepted(passed(state, now), seen, now)
    if seen.slow:
        rate = state.rate or throttle_rate.begun(state.full, seen.counts, now)
        state = replace(state, rate=throttle_rate.refused(rate, now), reason=seen.slow)
    if seen.crowded:
        crowd = throttle_faults.crowded(state.crowd, state.connections, seen.open, now)
        state = replace(state, crowd=crowd, reason=seen.crowded)
    if seen.blocked:
        block = throttle_faults.blocked(
            state.block, at_once=seen.block_at_once, level_before=seen.level_before, now=now
        )
        state = replace(state, block=block, reason=seen.blocked)
    if seen.unreachable:
        death = throttle_faults.unreachable(state.death, now)
        state = replace(state, death=death, reason=seen.unreachable)
    for hold in seen.holds:
        others = tuple(one for one in state.holds if one.rule != hold.rule)
        state = replace(state, holds=(*others, hold), reason=hold.reason)
    return finished(state, now)


def accepted(state: PathState, seen: Seen, now: int) -> PathState:
    """What was taken, or answered at all, ends deaths and blocks and lets the rate grow."""
    if seen.answered and state.death is not None:
        state = replace(state, death=None)
    if not seen.counts:
        return state
    if state.block is not None and now >= state.block.until:
        if state.block.level and not seen.blocked:
            state = returning(state, 0.0, now)
        if not seen.blocked:
            state = replace(state, block=None)
    if state.rate is not None:
        state = replace(state, rate=throttle_rate.accepted(state.rate, seen.counts, now))
    return state


def returning(state: PathState, base: float, now: int) -> PathState:
    """On the way back from `base`, 0 for a small share; a ceiling that is known stays."""
    known = state.rate
    if known is None:
        limit = state.full or throttle_rate.UNLIMITED
        rate = throttle_rate.returned(limit, base or limit / throttle_rate.SOFT_START, now)
    else:
        goal = known.ceiling or known.full
        rate = throttle_rate.returned(known.full, base or goal / throttle_rate.SOFT_START, now)
        rate = replace(rate, ceiling=known.ceiling)
    return replace(state, rate=rate, full_at=0)


def passed(state: PathState, now: int) -> PathState:
    """The state as time alone makes it: automations end, the rate grows."""
    for hold in state.holds:
        if hold.until > now:
            continue
        state = replace(state, holds=tuple(one for one in state.holds if one is not hold))
        if hold.stops or hold.rate:
            state = returning(state, hold.rate, hold.until)
        if hold.connections and hold.connections < state.connections:
            crowd = Crowd(state.connections, hold.connections, hold.until)
            state = replace(state, crowd=crowd)
    if state.rate is not None:
        state = replace(state, rate=throttle_rate.advance(state.rate, now))
    if state.crowd is not None and now > state.crowd.over_at() + DONE_MS:
        state = replace(state, crowd=None)
    return state


def finished(state: PathState, now: int) -> PathState | None:
    """Without a rate that has been full for a while; None when nothing is left."""
    rate = state.rate
    if rate is not None:
        at_full = not rate.trying and rate.per_second() >= rate.full
        full_at = (state.full_at or now) if at_full else 0
        state = replace(state, full_at=full_at)
        if full_at and now - full_at >= DONE_MS:
            state = replace(state, rate=None, full_at=0)
    left = (state.rate, state.crowd, state.block, state.death, *state.holds)
    return state if any(part is not None for part in left) else None


def view(state: PathState, now: int) -> Throttled | None:
    """What the state means for the next message; None when nothing at all."""
    state = passed(state, now)
    block, death = state.block, state.death
    shut = [hold for hold in state.holds if hold.stops]
    reach = "" if state.site else state.provider
    base = Throttled(reason=state.reason, gate=state.gate, reach=reach)
    if shut:
        last = max(shut, key=lambda hold: hold.until)
        blocked = last.action == "switch_source"
        return replace(base, until=last.until, blocked=blocked, reason=last.reason)
    if block is not None and block.level:
        if now < block.until:
            return replace(base, until=block.until, blocked=True)
        return one_try(base)
    if death is not None and death.certain:
        if now < death.until:
            return replace(base, until=death.until)
        waits = now + TRY_MS
        return replace(one_try(base), until=waits, probe=f"probe:{state.source}:{state.site}")
    return eased(state, base, now)


def one_try(base: Throttled) -> Throttled:
    return replace(base, rate=1000 / TRY_MS, burst=1, connections=1)


def eased(state: PathState, base: Throttled, now: int) -> Throttled | None:
    """Rate, connections and messages per connection; None when all are as configured."""
    rates = [hold.rate for hold in state.holds if hold.rate]
    until = 0
    if state.rate is not None:
        if now < state.rate.until:
            until = state.rate.until
        elif state.rate.trying:
            return one_try(base)
        rates.append(state.rate.per_second())
    most = [hold.connections for hold in state.holds if hold.connections]
    if state.crowd is not None:
        most.append(state.crowd.connections(now))
    each = [h.messages_per_connection for h in state.holds if h.messages_per_connection]
    rate = min(rates, default=0.0)
    found = replace(
        base,
        until=until,
        rate=rate,
        burst=max(1, round(rate * BURST_SECONDS)),
        connections=min(most, default=0),
        messages_per_connection=min(each, default=0),
    )
    nothing = not (until or rate or found.connections or found.messages_per_connection)
    return None if nothing and state.block is None and state.death is None else found


def narrower(one: Throttled, other: Throttled) -> Throttled:
    """Both at once, of a site and of its provider."""
    later = max(one, other, key=lambda item: (item.blocked, item.until))
    slower = min(one, other, key=lambda item: item.rate or float("inf"))

    def least(name: str) -> int:
        return min(filter(None, (getattr(one, name), getattr(other, name))), default=0)

    return replace(
        later,
        rate=slower.rate,
        burst=slower.burst,
        reach=slower.reach if slower.rate else later.reach,
        connections=least("connections"),
        messages_per_connection=least("messages_per_connection"),
        probe=one.probe or other.probe if not later.until else later.probe,
    )


def ttl_ms(state: PathState, now: int) -> int:
    """How long the state may lie untouched before it is forgotten."""
    ends = [now]
    if state.rate is not None:
        ends.append(max(state.rate.stepped_at, state.rate.until))
    if state.crowd is not None:
        ends.append(state.crowd.over_at())
    for part in (state.block, state.death, *state.holds):
        if part is not None:
            ends.append(part.until)
    return max(ends) - now + FORGET_MS


def to_json(state: PathState) -> str:
    return json.dumps(asdict(state), separators=(",", ":"))


def from_json(text: str) -> PathState:
    """The state; ValueError, TypeError or KeyError for what another version wrote."""
    values = json.loads(text)
    for name, kind in (("rate", Rate), ("crowd", Crowd), ("block", Block), ("death", Death)):
        values[name] = None if values[name] is None else kind(**values[name])
    if values["rate"] is not None:
        counts = tuple((at, count) for at, count in values["rate"].counts)
        values["rate"] = replace(values["rate"], counts=counts)
    values["holds"] = tuple(Hold(**hold) for hold in values["holds"])
    return PathState(**values)
