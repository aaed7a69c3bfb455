"""Throttled paths as people read them: what is done, why, since when and until when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from mta.delivery.throttle_states import all_states, states
from mta.policy.throttle import PathState, passed, view
from mta.policy.throttle_rate import UNLIMITED
from mta.storage.fields import from_ms, now_ms

#: Kind of throttle -> what it says; the narrowest of a path is its kind.
KINDS: dict[str, str] = {
    "blocked": "the receiver blocks the source",
    "dead": "no host of the site answers",
    "suspended": "an automation lets nothing go",
    "stopped": "nothing is taken; one message tries now and then",
    "slowed": "less is taken than is configured",
    "watched": "one more reply like the last would have consequences",
}


@dataclass(frozen=True, slots=True)
class ThrottleRow:
    """One throttled path; rates in messages a minute, None where there is none."""

    key: str
    source: str
    site: str
    provider: str
    kind: str
    #: Sentences, the narrowest first.
    what: tuple[str, ...]
    reason: str
    since: datetime
    #: When something may go again, or an automation ends; None: when replies allow it.
    until: datetime | None
    rate: float | None
    full: float | None
    connections: int | None
    full_connections: int | None

    @property
    def reach(self) -> str:
        """To whom the path leads."""
        return self.site or f"all sites of {self.provider}"


def throttle_rows() -> list[ThrottleRow]:
    """Every throttled path, by source and site. Raises redis.RedisError."""
    found = all_states()
    one = states()
    return [row_of(state, now_ms() + one.offset, one.offset) for state in found]


def row_of(state: PathState, now: int, offset: int) -> ThrottleRow:
    """`offset` is Redis's clock less ours, ms."""
    state = passed(state, now)
    seen = view(state, now)
    words = list(said(state, now)) or [("watched", KINDS["watched"])]
    ends = [hold.until for hold in state.holds] + ([seen.until] if seen else [])
    until = max(ends, default=0)
    full = state.full or None
    rate = seen.rate * 60 if seen and seen.rate else (full * 60 if full else None)
    if rate is not None and rate >= UNLIMITED * 60:
        rate = None
    return ThrottleRow(
        key=state.key,
        source=state.source,
        site=state.site,
        provider=state.provider,
        kind=words[0][0],
        what=tuple(text for _, text in words),
        reason=state.reason,
        since=from_ms(state.since - offset),
        until=from_ms(until - offset) if until > now else None,
        rate=0.0 if seen and seen.until > now else rate,
        full=full * 60 if full else None,
        connections=(seen.connections if seen else 0) or state.connections or None,
        full_connections=state.connections or None,
    )


def said(state: PathState, now: int) -> Iterator[tuple[str, str]]:
    """(kind, sentence) for each thing that is done, the narrowest first."""
    if state.block is not None and state.block.level:
        more = "" if now < state.block.until else "; one message tries"
        yield "blocked", f"blocked for the {ordinal(state.block.level)} time{more}"
    if state.death is not None and state.death.certain:
        yield "dead", f"no host answers; one connection asks every {state.death.pause // 1000} s"
    for hold in state.holds:
        kind = "suspended" if hold.stops else "slowed"
        yield kind, f"automation {hold.rule}: {hold.action.replace('_', ' ')}"
    if state.rate is not None and state.rate.trying:
        yield "stopped", f"one message tries every {state.rate.pause // 1000} s"
    elif state.rate is not None:
        yield "slowed", "follows what is taken"
    if state.crowd is not None:
        yield "slowed", f"{state.crowd.connections(now)} of {state.crowd.full} connections"


def ordinal(number: int) -> str:
    return {1: "1st", 2: "2nd", 3: "3rd"}.get(number, f"{number}th")
