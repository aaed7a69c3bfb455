"""What processes tell each other for a while: broken TLS of an MX host, a dead address.

Rule 1: everything here may be forgotten at any time; it saves work and decides nothing alone.
"""

from collections.abc import Sequence
from typing import Any

import redis

from mta.limits.scripts import text


class Memory:
    """Short texts by key, each with an end."""

    def __init__(self, client: redis.Redis, prefix: str = "mailmill:memory:") -> None:
        self._client = client
        self._prefix = prefix

    def remember(self, key: str, ttl: float, value: str = "1") -> None:
        """Keep `value` for `ttl` seconds, instead of what was there; 0 or less forgets."""
        if ttl <= 0:
            self.forget(key)
        else:
            self._client.set(self._prefix + key, value, px=max(1, round(ttl * 1000)))

    def recall(self, key: str) -> str | None:
        """Return what is remembered; None when nothing is."""
        return self.recall_many([key])[key]

    def recall_many(self, keys: Sequence[str]) -> dict[str, str | None]:
        """Recall several keys in one call."""
        if not keys:
            return {}
        found: Any = self._client.mget([self._prefix + key for key in keys])
        return {
            key: None if value is None else text(value)
            for key, value in zip(keys, found, strict=True)
        }

    def forget(self, key: str) -> None:
        """Drop a key; one that is not there is no error."""
        self._client.delete(self._prefix + key)
