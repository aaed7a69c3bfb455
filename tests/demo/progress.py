"""One line that says how far it is: rewritten on a terminal, printed now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping

#: Seconds between two lines where a line cannot be rewritten.
QUIET = 5.0
ORDER = ("delivered", "bounced", "deferred", "claimed", "scheduled")


class Progress:
    def __init__(self, started_at: float) -> None:
        self.started_at = started_at
        self.printed_at = 0.0
        self.width = 0

    def show(self, states: Mapping[str, int]) -> None:
        rest = sorted(set(states) - set(ORDER))
        counts = "  ".join(f"{name} {states.get(name, 0)}" for name in (*ORDER, *rest))
        now = time.monotonic()
        text = f"{now - self.started_at:5.1f} s  {counts}"
        if sys.stdout.isatty():
            print(f"\r{text:<{self.width}}", end="", flush=True)
            self.width = len(text)
        elif now - self.printed_at >= QUIET:
            print(text, flush=True)
            self.printed_at = now

    def end(self) -> None:
        if self.width:
            print(flush=True)
            self.width = 0
