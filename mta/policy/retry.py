"""When to try again, and when to stop.

Rule 1: attempt n waits the n-th step; after the last step each wait doubles, up to the ceiling.
Rule 2: the first steps are short, since greylisting wants a second try after 5 to 15 minutes; the
        ceiling is 4 hours and the life 5 days by default (RFC 5321 4.5.4.1 says 4 to 5 days).
Rule 3: jitter only lengthens a wait, so that mail deferred together does not come back together
        and a greylisting server's minimum is kept.
Rule 4: a wait that would pass the end of life is cut to a last try just before it; when even that
        is not a shortest step away, the mail expires now.
"""

import random
import re
from dataclasses import dataclass

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_STEP = re.compile(r"(\d{1,7}(?:\.\d{1,3})?)([smhd])")


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """Waits in seconds; ValueError when they make no schedule."""

    steps: tuple[float, ...] = (60.0, 300.0, 900.0, 1800.0, 3600.0)
    ceiling: float = 14400.0
    jitter: float = 0.1  #: a wait is lengthened by up to this part of itself
    life: float = 432000.0  #: from creation to expiry

    def __post_init__(self) -> None:
        if not self.steps or min(self.steps) <= 0:
            raise ValueError("steps must be one or more waits above 0 s")
        if self.ceiling <= 0 or self.life <= 0 or not 0 <= self.jitter <= 1:
            raise ValueError("ceiling and life must be above 0 s, jitter between 0 and 1")


@dataclass(frozen=True, slots=True)
class RetryDecision:
    """The time of the next attempt in seconds since the epoch; None when life is over."""

    at: float | None
    reason: str


def wait_after(schedule: RetrySchedule, attempts: int) -> float:
    """Seconds to wait after `attempts` attempts (at least 1), without jitter."""
    step = max(attempts, 1) - 1
    if step < len(schedule.steps):
        return schedule.steps[step]
    # Past 30 doublings any wait is at the ceiling; the bound keeps the power small.
    doublings = min(step - len(schedule.steps) + 1, 30)
    # A last step above the ceiling is the operator's wish and is kept.
    ceiling = max(schedule.ceiling, schedule.steps[-1])
    return min(ceiling, schedule.steps[-1] * 2.0**doublings)


def next_attempt(
    schedule: RetrySchedule,
    *,
    attempts: int,
    created_at: float,
    expires_at: float | None,
    now: float,
    rng: random.Random,
) -> RetryDecision:
    """Decide when a recipient with `attempts` attempts behind it is tried again.

    An explicit `expires_at` (seconds since the epoch) shortens the schedule's life, never
    lengthens it.
    """
    end = created_at + schedule.life
    if expires_at is not None:
        end = min(end, expires_at)
    if now >= end:
        return RetryDecision(None, "the time for delivery ran out")
    wait = wait_after(schedule, attempts)
    at = now + wait * (1.0 + schedule.jitter * rng.random())
    if at < end:
        return RetryDecision(at, f"attempt {attempts + 1}, {wait:g} s or a little more after")
    shortest = min(schedule.steps)
    if end - now > shortest:
        # One second before the end: the claim has to find it alive.
        return RetryDecision(
            max(now + shortest, end - 1.0), f"attempt {attempts + 1}, the last before expiry"
        )
    return RetryDecision(None, "no attempt fits before the time for delivery runs out")


def parse_schedule(text: str) -> tuple[float, ...]:
    """Read "1m,5m,15m" (units s, m, h, d) into seconds; ValueError names the bad step."""
    steps = []
    for word in text.split(","):
        match = _STEP.fullmatch(word.strip())
        if match is None or float(match[1]) == 0:
            raise ValueError(f"{word.strip()!r} is no wait; write a number with s, m, h or d: 5m")
        steps.append(float(match[1]) * _UNITS[match[2]])
    return tuple(steps)
