"""States of throttled egress paths, shared by all processes: short texts that change by
compare-and-swap, and counts of replies that automations wait for.

Rule 1: a state is changed only by whoever knows what it was, so no report is lost.
Rule 2: every text and every count ends by itself; time is Redis's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from mta.limits.egress import Bucket
from mta.limits.scripts import load, text

#: How long a bucket that began anew can be looked at while nobody takes from it.
REMEMBERED_MS = 60_000


@dataclass(frozen=True, slots=True)
class Read:
    """What stood in Redis at one instant (ms): texts by key, without those that are not there."""

    now: int
    texts: Mapping[str, str]


class Paths:
    """The states; safe to share between threads. Raises redis.RedisError from any method."""

    def __init__(self, client: redis.Redis, prefix: str = "mailmill:") -> None:
        self._client = client
        self._state = f"{prefix}path:"
        self._index = f"{prefix}paths"
        self._replies = f"{prefix}replies:"
        self._prefix = prefix
        self._swap = load(client, "swap")
        self._strike = load(client, "strike")
        self._refill = load(client, "refill")

    def read(self, keys: Sequence[str]) -> Read:
        """The states under these keys and Redis's time, in one round trip."""
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.time()
            if keys:
                pipeline.mget([self._state + key for key in keys])
            answers: Any = pipeline.execute()
        seconds, micros = answers[0]
        found = dict(zip(keys, answers[1], strict=True)) if keys else {}
        texts = {key: text(value) for key, value in found.items() if value is not None}
        return Read(int(seconds) * 1000 + int(micros) // 1000, texts)

    def swap(self, key: str, old: str, new: str, ttl_ms: int) -> bool:
        """Replace `old` ("" for none) by `new` ("" ends it); False when it is `old` no more."""
        keys = [self._state + key, self._index]
        return bool(self._swap(keys=keys, args=[old, new, max(1, ttl_ms), key]))

    def all(self) -> Read:
        """Every state there is."""
        return self.read(self.keys())

    def keys(self) -> list[str]:
        """Keys of all states; those that have ended are taken off the index."""
        seconds, micros = self._client.time()
        now = int(seconds) * 1000 + int(micros) // 1000
        self._client.zremrangebyscore(self._index, "-inf", now)
        found: Any = self._client.zrange(self._index, 0, -1)
        return [text(key) for key in found]

    def refill(self, bucket: Bucket) -> None:
        """Let a bucket begin anew, at its new rate.

        What it owed was owed at a slower one, and dispatch knows a bucket's rate from the bucket.
        """
        args = [bucket.interval, bucket.burst, REMEMBERED_MS]
        self._refill(keys=[self._prefix + bucket.key], args=args)

    def strike(self, name: str, count: int, threshold: int, seconds: float) -> bool:
        """Count `count` replies; True when `threshold` came within `seconds`, and begin anew."""
        key = self._replies + name
        return bool(
            self._strike(keys=[key], args=[count, threshold, max(1, round(seconds * 1000))])
        )
