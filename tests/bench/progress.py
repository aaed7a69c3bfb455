"""What is being measured and how far it is, on standard error; figures go to standard output."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

EVERY_SECONDS = 5.0


def say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


def tell(name: str, figures: Mapping[str, Any]) -> None:
    """A part of a long bench, which would be lost with it when a later part fails."""
    say(f"{name}: {json.dumps(figures)}")


@dataclass(slots=True)
class Progress:
    """Says "<what>: 1,200 of 20,000" now and then, however often it is told."""

    what: str
    total: int
    next_at: float = field(default_factory=lambda: time.monotonic() + EVERY_SECONDS)

    def tell(self, done: int) -> None:
        now = time.monotonic()
        if now >= self.next_at:
            say(f"{self.what}: {done:,} of {self.total:,}")
            self.next_at = now + EVERY_SECONDS
