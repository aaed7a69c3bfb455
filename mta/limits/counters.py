"""Counts of all processes together, for /metrics.

Rule 1: names come from the code, never from mail, so their number is bounded.
Rule 2: counts only rise; a reader that sees a smaller one knows that Redis was emptied.
"""

from collections.abc import Mapping
from typing import Any

import redis

from mta.limits.scripts import text


class Counters:
    """Named whole numbers in one hash."""

    def __init__(self, client: redis.Redis, key: str = "mailmill:counters") -> None:
        self._client = client
        self._key = key

    def add(self, counts: Mapping[str, int]) -> None:
        """Add to many counters in one round trip; zeros cost nothing."""
        raised = {name: count for name, count in counts.items() if count}
        if not raised:
            return
        with self._client.pipeline(transaction=False) as pipeline:
            for name, count in raised.items():
                pipeline.hincrby(self._key, name, count)
            pipeline.execute()

    def read(self, prefix: str = "") -> dict[str, int]:
        """Return the counters whose names start with `prefix`, by full name."""
        found: Any = self._client.hgetall(self._key)
        counts = {text(name): int(value) for name, value in found.items()}
        return {name: count for name, count in sorted(counts.items()) if name.startswith(prefix)}
