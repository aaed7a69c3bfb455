"""The states of throttled paths as this process knows them, and the one way to change them.

Rule 1: what is known is at most KEEP_SECONDS old; a change starts from it and is refused by Redis
        when it is no longer so, then starts anew.
Rule 2: who made a change tells people, and wakes what waited for it; nobody else does.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from functools import lru_cache, partial

import redis
from django.db import DatabaseError

from mta import wiring
from mta.events.decisions import record
from mta.limits.egress import Bucket
from mta.limits.paths import Paths
from mta.policy import throttle
from mta.policy.throttle import PathState
from mta.policy.throttle_changes import Change, changes, stopped_ms, with_told
from mta.spool import waiting
from mta.storage.fields import now_ms
from mta.storage.transactions import let_go, write

log = logging.getLogger(__name__)
KEEP_SECONDS = 0.5
#: What was read within KEEP_SECONDS is used a little later.
GRACE_SECONDS = 0.5
MOST_KEPT = 20_000
TRIES = 50
#: A stop of this length let lanes wait for its end, ms.
WAITED_MS = 2_000
#: How long an earlier block of a path makes the next one longer, seconds.
LEVEL_SECONDS = 86_400.0

Maker = Callable[[PathState | None, int], PathState | None]


class States:
    """What one process knows."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        #: By key: when it was read (monotonic), the text, the state.
        self.kept: dict[str, tuple[float, str, PathState | None]] = {}
        #: Redis's clock less ours, ms.
        self.offset = 0
        self.timed = False

    def now(self) -> int:
        """Redis's time, ms."""
        if not self.timed:
            self.read([])
        return now_ms() + self.offset

    def known(self, key: str) -> PathState | None:
        """What is known without asking, if it was read lately."""
        found = self.kept.get(key)
        if found is None or time.monotonic() - found[0] > KEEP_SECONDS + GRACE_SECONDS:
            return None
        return found[2]

    def fresh(self, keys: Sequence[str]) -> dict[str, PathState]:
        """The states that there are; Redis is asked for those that were not read lately."""
        oldest = time.monotonic() - KEEP_SECONDS
        missing = [key for key in keys if self.kept.get(key, (0.0,))[0] < oldest]
        if missing:
            self.read(missing)
        return {key: state for key in keys if (state := self.known(key)) is not None}

    def read(self, keys: Sequence[str]) -> None:
        answer = self.paths.read(keys)
        self.offset, self.timed = answer.now - now_ms(), True
        if len(self.kept) > MOST_KEPT:
            self.kept.clear()
        at = time.monotonic()
        for key in keys:
            text = answer.texts.get(key, "")
            self.kept[key] = (at, text, state_of(text))

    def change(
        self, key: str, make: Maker, *, by_person: bool = False
    ) -> tuple[PathState | None, PathState | None]:
        """(before, after) of a change that nobody else's report came between.

        What a person does is told by who calls.
        """
        if key not in self.kept:
            self.read([key])
        for _ in range(TRIES):
            text = self.kept[key][1]
            before = state_of(text)
            now = self.now()
            after = make(before, now)
            if before is None and after is None:
                return None, None
            told = [] if by_person else news(before, after)
            if after is not None:
                after = with_told(after, told)
            new = throttle.to_json(after) if after is not None else ""
            ttl = throttle.ttl_ms(after, now) if after is not None else 1
            if self.paths.swap(key, text, new, ttl):
                self.kept[key] = (time.monotonic(), new, after)
                if before is not None and (by_person or tries(before)) and not tries(after):
                    self.paths.refill(bucket_of(before.gate, after, now))
                if not by_person:
                    self.tell(before, after, told)
                return before, after
            self.read([key])
        raise redis.RedisError(f"the state of {key} changes too fast")

    def tell(self, before: PathState | None, after: PathState | None, told: list[Change]) -> None:
        """Write what happened, and wake what waited for the end of a stop."""
        state = after or before
        if state is None:
            return
        try:
            for change in told:
                write(partial(noted, state, change), durable=False)
            if before is not None and waited(before) and not (after and waited(after)):
                wake(state.gate)
        except DatabaseError as error:
            log.warning("a change of %s was not written: %s", state.key, error)
        finally:
            if told:
                let_go()


def noted(state: PathState, change: Change) -> None:
    log.info("%s %s: %s", change.kind, state.key, change.reason)
    record(
        change.kind, actor=change.actor, reason=change.reason, source=state.source,
        site=state.site, provider=state.provider, data=change.data,
    )  # fmt: skip


def wake(gate: str) -> None:
    """Let the lanes go that waited for a path."""
    if waiting.release(gate):
        wiring.nudge().ring()


def waited(state: PathState) -> bool:
    """Whether lanes wait for the end of something that an accepted message ends."""
    died = state.death is not None and state.death.certain
    is_blocked = state.block is not None and state.block.level > 0
    return died or is_blocked or stopped_ms(state) >= WAITED_MS


def tries(state: PathState | None) -> bool:
    """Whether the path waits for one message to be taken."""
    if state is None:
        return False
    died = state.death is not None and state.death.certain
    is_blocked = state.block is not None and state.block.level > 0
    return died or is_blocked or (state.rate is not None and state.rate.trying)


def bucket_of(gate: str, state: PathState | None, now: int) -> Bucket:
    """The bucket of a throttle's rate; without one it holds nobody back."""
    found = throttle.view(state, now) if state is not None else None
    if found is None or not found.rate:
        return Bucket(gate, 1_000_000.0, 1_000_000)
    return Bucket(gate, found.rate, found.burst)


def news(before: PathState | None, after: PathState | None) -> list[Change]:
    some = before or after
    if some is None:
        return []
    nothing = PathState(some.source, some.site, some.provider, some.since)
    return changes(before or nothing, after)


def state_of(text: str) -> PathState | None:
    """The state; None for none, and for one that another version wrote."""
    try:
        return throttle.from_json(text) if text else None
    except (ValueError, TypeError, KeyError):
        return None


@lru_cache(maxsize=4)
def known_by(paths: Paths) -> States:
    return States(paths)


def states() -> States:
    """What this process knows of the server that it is wired to."""
    return known_by(wiring.paths())


def level_key(key: str) -> str:
    return f"block-level:{key}"


def all_states() -> list[PathState]:
    """Every throttled path, by source and site. Raises redis.RedisError."""
    read = states().paths.all()
    found = [state for text in read.texts.values() if (state := state_of(text)) is not None]
    return sorted(found, key=lambda state: (state.source, state.site, state.provider))


def reset(key: str, *, actor: str) -> bool:
    """Forget what replies did to a path; whether there was something. Raises redis.RedisError."""
    one = states()
    one.read([key])
    before, _ = one.change(key, lambda _state, _now: None, by_person=True)
    wiring.memory().forget(level_key(key))
    if before is None:
        return False
    write(lambda: noted(before, Change("throttle_reset", actor, before.reason)))
    wake(before.gate)
    return True


def reset_all(*, actor: str) -> int:
    """Forget what replies did to every path; returns how many. Raises redis.RedisError."""
    return sum(reset(state.key, actor=actor) for state in all_states())
