"""One measurement: warm up, start the clock, count at the sink, add up what it cost."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.bench.cost import Costs, machine, per_message, wait_quiet
from tests.bench.load import Load, recipients
from tests.bench.sink import Sink

#: Seconds without any progress after which what is missing counts as lost.
PATIENCE = 45.0
WARM, TIMED = "w", "r"
MakeLoad = Callable[[int, str], Load]


@dataclass(frozen=True, slots=True)
class Measured:
    msgs_per_s: float
    #: CPU milliseconds per message by kind of process.
    cpu_ms_per_msg: dict[str, float]
    #: Of the system under test, without injector and sink.
    peak_rss_mb: int
    lost: int
    doubled: int
    message_bytes: int
    #: Cores that other programs kept busy meanwhile; below 0 by what the clock ticks round.
    other_cores: float


def measure(
    sink: Sink, make: MakeLoad, roots: Mapping[str, int], *,
    count: int, warmup: int, quiet: float, settled: Callable[[], bool],
) -> Measured:  # fmt: skip
    """Send `count` messages through a running system; `roots` are its processes by kind.

    The clock starts when the machine is idle, at the latest after `quiet` seconds.
    """
    warm_up(sink, make, warmup)
    wait_settled(settled)
    load = make(count, TIMED)
    load.prepare()
    wait_quiet(quiet)
    system, ends = Costs(roots), Costs(sink.roots)
    wanted = recipients(count, TIMED)
    before, ends_before, machine_before = system.cpu(), ends.cpu(), machine()
    peak = Peak(system)
    started_at = time.monotonic()
    load.go()
    last_at = sink.wait_for(wanted, PATIENCE, peak.look)
    injector_cpu = load.finish()
    # The cost of judging and settling the last replies belongs to the messages too.
    wait_settled(settled)
    cpu = {
        **per_message(before, system.cpu(), count),
        **per_message(ends_before, ends.cpu(), count),
        "injector": round(injector_cpu * 1000 / count, 4),
    }
    elapsed = time.monotonic() - started_at
    known = sum(cpu.values()) * count / 1000
    taken = Counter({who: times for who, times in sink.accepted().items() if who in wanted})
    return Measured(
        msgs_per_s=round(len(taken) / (last_at - started_at), 1),
        cpu_ms_per_msg=cpu,
        peak_rss_mb=round(peak.megabytes),
        lost=len(wanted) - len(taken),
        doubled=taken.total() - len(taken),
        message_bytes=sink.message_bytes(),
        other_cores=round((machine() - machine_before - known) / elapsed, 2),
    )


@dataclass(slots=True)
class Peak:
    """The largest memory seen, looked at once a second."""

    costs: Costs
    megabytes: float = 0.0
    next_at: float = 0.0

    def look(self) -> None:
        now = time.monotonic()
        if now >= self.next_at:
            self.megabytes = max(self.megabytes, self.costs.memory())
            self.next_at = now + 1


def warm_up(sink: Sink, make: MakeLoad, count: int) -> None:
    """Fill caches and open connections; AssertionError when mail does not get through."""
    load = make(count, WARM)
    load.prepare()
    load.go()
    wanted = recipients(count, WARM)
    sink.wait_for(wanted, PATIENCE)
    load.finish()
    missing = len(wanted - sink.accepted().keys())
    if missing:
        raise AssertionError(f"{missing} of {count} messages did not arrive in the warm-up")


def wait_settled(settled: Callable[[], bool]) -> None:
    """Wait until the system has nothing left to do, at most PATIENCE seconds."""
    ends_at = time.monotonic() + PATIENCE
    while not settled() and time.monotonic() < ends_at:
        time.sleep(0.1)
