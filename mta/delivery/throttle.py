"""Throttle: what receivers' replies mean for the next messages to them.

Rule 1: a path on which all is well costs no question to Redis behind a connection.
Rule 2: a reply of importance, and whatever a path says that is throttled already, is one report;
        reports of good news are gathered for REPORT_SECONDS.
Rule 3: what a process had accepted before the trouble began is reported with the first trouble:
        that is how the receiver's limit is known at once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from django.db import DatabaseError

from mta import wiring
from mta.delivery.batch import Outcome, Path
from mta.delivery.lessor import slot_key
from mta.delivery.shaping import automations, shipped_automations
from mta.delivery.throttle_replies import Reading, read_replies
from mta.delivery.throttle_states import (
    KEEP_SECONDS,
    LEVEL_SECONDS,
    States,
    level_key,
    states,
    tries,
)
from mta.policy import automation, throttle
from mta.policy.automation_rules import AutomationRule
from mta.policy.throttle import PathState, Seen, path_key
from mta.policy.throttle_faults import Hold
from mta.policy.throttle_rate import MINUTE_MS
from mta.policy.throttled import Throttled
from mta.storage.fields import now_ms
from mta.storage.transactions import let_go

log = logging.getLogger(__name__)
PathKey = tuple[str, str, str]
REPORT_SECONDS = 0.25
#: Paths whose accepted messages are remembered.
MOST_PATHS = 5_000


@dataclass(frozen=True, slots=True)
class Stop:
    """The rest of a batch goes back; its lane is looked at again at `until` (ms)."""

    until: int
    reason: str
    gate: str


def throttled(paths: Sequence[PathKey]) -> dict[PathKey, Throttled]:
    """What holds on these (source, site, provider); without those that replies changed nothing on.

    One question to Redis for what was not read within KEEP_SECONDS. Raises redis.RedisError.
    """
    one = states()
    names = {path: names_of(*path) for path in paths}
    known = one.fresh(list({name for both in names.values() for name in both}))
    if not known:
        return {}
    now = one.now()
    found: dict[PathKey, Throttled] = {}
    for path, both in names.items():
        views = [
            view for name in both if name in known and (view := seen_here(one, known[name], now))
        ]
        if views:
            found[path] = views[0] if len(views) == 1 else throttle.narrower(*views)
    return found


def names_of(source: str, site: str, provider: str) -> tuple[str, ...]:
    """The keys of the states that hold on a path."""
    site_key = path_key(source, site)
    return (site_key, path_key(source, f"@{provider}")) if provider else (site_key,)


def seen_here(one: States, state: PathState, now: int) -> Throttled | None:
    """The view of a state, in this machine's time."""
    found = throttle.view(state, now)
    return replace(found, until=found.until - one.offset) if found and found.until else found


class Watch:
    """What one deliver process has seen; used from many threads."""

    def __init__(self) -> None:
        self.states = states()
        self.lock = threading.Lock()
        #: Accepted and not yet reported, by key: (instant, how many).
        self.lately: dict[str, list[tuple[int, int]]] = {}
        self.reported: dict[str, float] = {}
        self.rules: Sequence[AutomationRule] = ()
        self.matched: dict[tuple[str, str], AutomationRule | None] = {}

    def after(self, path: Path, outcomes: Sequence[Outcome]) -> Stop | None:
        """Take in what a connection, or the failure to get one, brought; blocks on Redis.

        None: go on. Raises redis.RedisError.
        """
        key = path_key(path.source_name, path.site)
        taken = sum(1 for one in outcomes if one.code // 100 == 2 and not one.kind)
        if taken:
            self.remember(key, taken)
        reading = read_replies(outcomes, path.provider) if taken != len(outcomes) else Reading()
        if not path.throttled and not reading.matters and not reading.texts:
            return self.stop(path) if key in self.states.kept else None
        try:
            return self.report(path, key, reading, taken)
        finally:
            if reading.texts:
                let_go()

    def alarmed(self, path: Path, outcome: Outcome) -> bool:
        """Whether to send nothing more down this connection before `after` is asked; no I/O."""
        return outcome.code // 100 != 2 and read_replies([outcome], path.provider).matters

    def remember(self, key: str, taken: int) -> None:
        """Count what was accepted, for one minute."""
        now = now_ms()
        with self.lock:
            counts = self.lately.get(key)
            if counts is None:
                if len(self.lately) >= MOST_PATHS:
                    del self.lately[next(iter(self.lately))]
                counts = self.lately[key] = []
            if counts and now - counts[-1][0] < 1000:
                counts[-1] = (counts[-1][0], counts[-1][1] + taken)
            else:
                counts.append((now, taken))
                while counts[0][0] < now - MINUTE_MS:
                    del counts[0]

    def report(self, path: Path, key: str, reading: Reading, taken: int) -> Stop | None:
        """Change the state of the path by what was seen."""
        holds = self.holds(path, reading) if reading.texts else {}
        here = holds.get(path.site, ())
        if reading.matters or here or (path.throttled and self.is_time(key)):
            seen = self.seen(path, key, reading, taken, here)
            was_waiting, is_waiting = self.step(path, key, path.site, seen)
            if was_waiting and not is_waiting:
                # Its tokens were those of one try: resolve gives it what may go now.
                return Stop(now_ms(), "the path takes mail again", "")
        across = f"@{path.provider}"
        if across in holds:
            provider = Seen(
                holds=holds[across], full=path.rate, connections=path.connections,
                throttled=path.throttled,
            )  # fmt: skip
            self.step(path, path_key(path.source_name, across), "", provider)
        return self.stop(path)

    def is_time(self, key: str) -> bool:
        """Whether good news of a throttled path is told now, or gathered a little longer."""
        now = time.monotonic()
        if now - self.reported.get(key, 0.0) < REPORT_SECONDS and not tries(self.states.known(key)):
            return False
        if len(self.reported) >= MOST_PATHS:
            self.reported.clear()
        self.reported[key] = now
        return True

    def step(self, path: Path, key: str, site: str, seen: Seen) -> tuple[bool, bool]:
        """One change; (whether it waited for a try, whether it does)."""

        def make(before: PathState | None, now: int) -> PathState | None:
            state = before or PathState(path.source_name, site, path.provider, now)
            return throttle.step(state, seen, now)

        before, after = self.states.change(key, make)
        if after is not None and after.block is not None and after.block.level:
            level = str(after.block.level)
            wiring.memory().remember(level_key(key), LEVEL_SECONDS, level)
        return tries(before), tries(after)

    def seen(
        self, path: Path, key: str, reading: Reading, taken: int, holds: tuple[Hold, ...]
    ) -> Seen:
        """The report."""
        with self.lock:
            counts = self.lately.pop(key, [])
        offset = self.states.now() - now_ms()
        since = now_ms() - MINUTE_MS
        level = wiring.memory().recall(level_key(key)) if reading.blocked else None
        open_now = wiring.limits().held(slot_key(path)) if reading.crowded else 0
        return Seen(
            counts=tuple((at + offset, count) for at, count in counts if at > since),
            answered=reading.answered or taken > 0,
            slow=reading.slow,
            crowded=reading.crowded,
            blocked=reading.blocked,
            block_at_once=reading.block_at_once,
            unreachable="" if taken else reading.unreachable,
            holds=holds,
            full=path.rate,
            connections=path.connections,
            throttled=path.throttled,
            open=open_now,
            level_before=int(level or 0),
        )

    def holds(self, path: Path, reading: Reading) -> dict[str, tuple[Hold, ...]]:
        """What automations order now, by site or "@" and provider."""
        found: dict[str, tuple[Hold, ...]] = {}
        for text, (count, words) in reading.texts.items():
            rule = self.automation(path.provider, text)
            if rule is None:
                continue
            reach = f"@{path.provider}" if rule.provider else path.site
            if self.reached(rule, path.source_name, reach, count):
                hold = automation.ordered(rule, words, self.states.now())
                found[reach] = (*found.get(reach, ()), hold)
        return found

    def automation(self, provider: str, text: str) -> AutomationRule | None:
        """The automation that a reply counts for; replies repeat, so answers are kept."""
        rules = self.known_automations()
        if rules is not self.rules or len(self.matched) >= MOST_PATHS:
            self.rules, self.matched = rules, {}
        key = (provider, text)
        if key not in self.matched:
            self.matched[key] = automation.matching(rules, provider, text)
        return self.matched[key]

    def known_automations(self) -> Sequence[AutomationRule]:
        """Those in force; the last known, or the shipped ones, while the database is away."""
        try:
            return automations()
        except DatabaseError as error:
            log.warning("automations not read: %s", type(error).__name__)
            return self.rules or shipped_automations()

    def reached(self, rule: AutomationRule, source: str, reach: str, count: int) -> bool:
        if rule.threshold <= count:
            return True
        name = f"{rule.name}:{source}:{reach}"
        return self.states.paths.strike(name, count, rule.threshold, rule.window_seconds)

    def stop(self, path: Path) -> Stop | None:
        """Whether the path is shut, as far as is known here.

        Its lane is looked at soon: another source may take the mail, and resolve knows by then.
        """
        now = self.states.now()
        for name in names_of(path.source_name, path.site, path.provider):
            state = self.states.known(name)
            view = throttle.view(state, now) if state is not None else None
            if view is not None and view.until > now:
                soon = min(view.until, now + round(KEEP_SECONDS * 1000) + 100)
                return Stop(soon - self.states.offset, view.reason, view.gate)
        return None
