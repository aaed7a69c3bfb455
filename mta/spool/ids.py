"""Ids of messages and recipients: made before the row is stored, in order of time, 63 bits.

41 bits of milliseconds since 2024, then 22 bits that start at random: ids of one process grow, so
rows are appended to the index; two processes that start a block in the same millisecond overlap
with a chance of one in thousands, the primary key refuses that and inject takes new ids.
"""

from __future__ import annotations

import random
import threading
import time
from datetime import UTC, datetime

#: 2024-01-01T00:00:00Z in milliseconds.
EPOCH_MS = 1_704_067_200_000
RANDOM_BITS = 22

_lock = threading.Lock()
_next = 0


def new_ids(count: int) -> range:
    """`count` consecutive ids that this process has not handed out before."""
    global _next  # noqa: PLW0603  # one counter a process is the point
    fresh = (int(time.time() * 1000) - EPOCH_MS) << RANDOM_BITS
    with _lock:
        start = max(_next, fresh + random.getrandbits(RANDOM_BITS - 1))
        _next = start + count
    return range(start, start + count)


def new_id() -> int:
    """One id."""
    return new_ids(1)[0]


def made_at(row_id: int) -> datetime:
    """When a message or recipient was made: its id tells to the millisecond."""
    return datetime.fromtimestamp(((row_id >> RANDOM_BITS) + EPOCH_MS) / 1000, tz=UTC)
