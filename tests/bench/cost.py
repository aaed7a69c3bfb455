"""CPU time and memory of running processes, by kind; a kind is a process with its descendants."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

import psutil


class Costs:
    """Watches process trees; `roots` is kind -> process id."""

    def __init__(self, roots: Mapping[str, int]) -> None:
        self.roots = {kind: psutil.Process(pid) for kind, pid in roots.items()}

    def cpu(self) -> dict[str, float]:
        """CPU seconds so far, user and system; those of ended descendants are in their parents'."""
        return {
            kind: sum(sum(one.cpu_times()[:4]) for one in alive(root))
            for kind, root in self.roots.items()
        }

    def memory(self) -> float:
        """Megabytes of all trees now; a page shared by several processes counts once (PSS)."""
        return sum(resident(one) for root in self.roots.values() for one in alive(root)) / 2**20


def alive(root: psutil.Process) -> Iterator[psutil.Process]:
    """A process and its descendants, without those that end meanwhile."""
    for process in (root, *root.children(recursive=True)):
        with process.oneshot():
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                yield process


def resident(process: psutil.Process) -> int:
    """Proportional set size in bytes; 0 when it ended."""
    try:
        return int(process.memory_full_info().pss)
    except psutil.Error:
        return 0


#: Kinds that belong to the measurement and not to what is measured.
TOOLS = frozenset({"injector", "sink", "dns"})


def total(cpu: Mapping[str, float]) -> float:
    """CPU of the system under test, from CPU by kind."""
    return sum(value for kind, value in cpu.items() if kind not in TOOLS)


def machine() -> float:
    """CPU seconds that all cores were busy since the machine started."""
    times = psutil.cpu_times()
    return float(sum(times[:8]) - times.idle - times.iowait)


def wait_quiet(patience: float, most: float = 0.3, seconds: float = 2.0) -> None:
    """Wait until fewer than `most` cores were busy for `seconds`, at most `patience` seconds."""
    ends_at = time.monotonic() + patience
    while time.monotonic() < ends_at:
        before = machine()
        time.sleep(seconds)
        if machine() - before < most * seconds:
            return


def per_message(seconds: Mapping[str, float], count: int) -> dict[str, float]:
    """CPU milliseconds per message by kind, from CPU seconds."""
    return {kind: round(value * 1000 / count, 4) for kind, value in seconds.items()}
