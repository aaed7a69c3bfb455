"""How long a process that ended has to wait before it is started again."""

from __future__ import annotations

from dataclasses import dataclass

CEILING = 30.0
#: Seconds after which a process counts as healthy and its failures are forgotten.
HEALTHY_AFTER = 60.0


@dataclass(frozen=True, slots=True)
class Restart:
    """`after` seconds from now; `failures` goes into the next decision."""

    after: float
    failures: int


def next_restart(failures: int, *, ran_for: float) -> Restart:
    """The decision for a process that failed `failures` times in a row before this run.

    The waits are 1, 2, 4, 8, 16, 30, 30 ... seconds; `ran_for` is in seconds.
    """
    if ran_for >= HEALTHY_AFTER:
        failures = 0
    # A float power overflows at 1024 failures; the ceiling is reached at 5.
    return Restart(min(2.0 ** min(failures, 5), CEILING), failures + 1)
