"""The sink of latency, slow and tail: our own receiver process, which notes when mail came.

Every domain has a mail host of its own, except those below shared.test.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.bench.options import ROOT
from tests.bench.sink import READY_SECONDS, Sink
from tests.services.processes import ChildProcess, wait_until


class StampingSink(Sink):
    """Takes mail for everybody; `delay` seconds pass between the dot and its reply."""

    name = "tests.bench.receiver"
    host = "127.64.0.1"

    def __init__(self, folder: Path, delay: float = 0.0) -> None:
        super().__init__()
        #: Nanoseconds of the system clock when a recipient's message first came.
        self.stamps: dict[str, int] = {}
        words = [sys.executable, "-m", "tests.bench.receiver", str(self.folder)]
        child = ChildProcess([*words, "--delay", str(delay)], output=folder / "sink.log", cwd=ROOT)
        self.children.append(child)
        ready = self.folder / "ready.json"
        wait_until(lambda: ready.exists() or not child.running, READY_SECONDS, child.__str__)
        if not ready.exists():
            raise AssertionError(f"the sink did not start: {child}")
        ports = json.loads(ready.read_text())
        self.port, self.dns = ports["smtp"], f"127.0.0.1:{ports['dns']}"
        self.roots = {"sink": child.pid}

    def note(self, lines: bytes) -> None:
        for stamp, _, who in (line.partition(b" ") for line in lines.splitlines()):
            recipient = who.decode()
            self.counts[recipient] += 1
            self.stamps.setdefault(recipient, int(stamp))

    def connections(self) -> int:
        """Open now."""
        return self.gauge()[0]

    def connections_ever(self) -> int:
        return self.gauge()[1]

    def gauge(self) -> tuple[int, int]:
        gauge = self.folder / "gauge"
        words = gauge.read_text().split() if gauge.exists() else []
        return (int(words[0]), int(words[1])) if len(words) == 2 else (0, 0)
