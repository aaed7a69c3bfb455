"""Measuring: warm up, start the clock, count at the sink, add up what it cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.bench.cost import Costs, machine, per_message, wait_quiet
from tests.bench.crowd import Crowd, tally
from tests.bench.load import Load
from tests.bench.progress import Progress, say
from tests.bench.sink import Sink

#: Seconds without any progress after which what is missing counts as lost.
PATIENCE = 45.0
MakeLoad = Callable[[Crowd], Load]


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


class Meter:
    """CPU and memory of a running system and its sink from now on; `roots` kind -> process."""

    def __init__(self, roots: Mapping[str, int], sink: Sink) -> None:
        self.system, self.ends = Costs(roots), Costs(sink.roots)
        self.megabytes = 0.0
        self.looks_at = 0.0
        self.start()

    def start(self) -> None:
        """Begin the measurement (again); the peak of memory is kept."""
        self.before = {**self.system.cpu(), **self.ends.cpu()}
        self.machine_before, self.started_at = machine(), time.monotonic()

    def look(self) -> None:
        """Note the memory, at most once a second."""
        now = time.monotonic()
        if now >= self.looks_at:
            self.megabytes = max(self.megabytes, self.system.memory())
            self.looks_at = now + 1

    def seconds(self) -> dict[str, float]:
        """CPU seconds by kind since the start."""
        after = {**self.system.cpu(), **self.ends.cpu()}
        return {kind: after[kind] - self.before[kind] for kind in after}

    def other_cores(self, known: float) -> float:
        """Cores that others kept busy; `known` CPU seconds are those of the benchmark."""
        elapsed = time.monotonic() - self.started_at
        return round((machine() - self.machine_before - known) / elapsed, 2)

    @property
    def peak_rss_mb(self) -> int:
        return round(self.megabytes)


def measure(
    sink: Sink, make: MakeLoad, roots: Mapping[str, int], crowd: Crowd, *,
    warmup: int, quiet: float, settled: Callable[[], bool],
) -> Measured:  # fmt: skip
    """Send a message to each of `crowd` through a running system.

    The clock starts when the machine is idle, at the latest after `quiet` seconds.
    """
    warm_up(sink, make, Crowd(warmup, "w", crowd.domain), settled)
    return timed(sink, make(crowd), roots, crowd, quiet=quiet, settled=settled)


def timed(
    sink: Sink, load: Load, roots: Mapping[str, int], crowd: Crowd, *,
    quiet: float, settled: Callable[[], bool],
) -> Measured:  # fmt: skip
    """The same in a system that is warm; `load` hands in the mail of `crowd`."""
    load.prepare()
    wait_quiet(quiet)
    progress = Progress("at the sink", crowd.count)
    meter = Meter(roots, sink)

    def meanwhile(done: int) -> None:
        meter.look()
        progress.tell(done)

    started_at = time.monotonic()
    load.go()
    last_at = sink.wait_for(crowd, PATIENCE, meanwhile)
    _, injector_cpu = load.finish()
    # The cost of judging and settling the last replies belongs to the messages too.
    wait_settled(settled)
    cpu = meter.seconds() | {"injector": injector_cpu}
    found = tally(crowd, sink.accepted())
    return Measured(
        msgs_per_s=round(found.taken / (last_at - started_at), 1),
        cpu_ms_per_msg=per_message(cpu, crowd.count),
        peak_rss_mb=meter.peak_rss_mb,
        lost=found.lost,
        doubled=found.doubled,
        message_bytes=sink.message_bytes(),
        other_cores=meter.other_cores(sum(cpu.values())),
    )


def warm_up(sink: Sink, make: MakeLoad, crowd: Crowd, settled: Callable[[], bool]) -> None:
    """Fill caches and open connections; AssertionError when mail does not get through."""
    say(f"warm-up: {crowd.count:,} messages")
    load = make(crowd)
    load.prepare()
    load.go()
    sink.wait_for(crowd, PATIENCE)
    load.finish()
    missing = tally(crowd, sink.accepted()).lost
    if missing:
        raise AssertionError(f"{missing} of {crowd.count} messages did not arrive in the warm-up")
    wait_settled(settled)


def wait_settled(settled: Callable[[], bool]) -> None:
    """Wait until the system has nothing left to do, at most PATIENCE seconds."""
    ends_at = time.monotonic() + PATIENCE
    while time.monotonic() < ends_at:
        asked_at = time.monotonic()
        if settled():
            return
        # A question that costs the database something is asked seldom.
        time.sleep(max(0.1, 10 * (time.monotonic() - asked_at)))
