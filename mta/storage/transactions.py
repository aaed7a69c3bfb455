"""One way to open a write transaction, and to try it again when the database asks for it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from django.db import OperationalError, connection, transaction

T = TypeVar("T")
#: SQLite says "locked" after its busy time-out, PostgreSQL "deadlock" or "serialize".
AGAIN = ("locked", "deadlock", "could not serialize")
TRIES = 6


def write(work: Callable[[], T]) -> T:
    """Run `work` in one durable transaction; on a lost lock, roll back and run it again.

    Raises what `work` raises; OperationalError when the lock stays lost after 6 tries.
    """
    for attempt in range(TRIES):
        try:
            with transaction.atomic():
                return work()
        except OperationalError as error:
            inside = connection.in_atomic_block
            if inside or attempt == TRIES - 1 or not any(w in str(error) for w in AGAIN):
                raise
            time.sleep(random.uniform(0.01, 0.05) * (attempt + 1))
    raise AssertionError("unreachable")


def let_go() -> None:
    """Give a pooled connection back before waiting for something slow; SQLite's stays open."""
    if connection.vendor == "postgresql" and not connection.in_atomic_block:
        connection.close()
