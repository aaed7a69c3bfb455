"""One way to open a write transaction, and to try it again when the database asks for it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from django.db import OperationalError, connection, transaction

from mta.storage.turn import turn

T = TypeVar("T")
#: SQLite says "locked" after its busy time-out, PostgreSQL "deadlock" or "serialize".
AGAIN = ("locked", "deadlock", "could not serialize")
TRIES = 6


def write(work: Callable[[], T], *, durable: bool = True) -> T:
    """Run `work` in one transaction; on a lost lock, roll back and run it again.

    `durable=False`: power failure may lose it, and it alone; it waits for no disk.
    Raises what `work` raises; OperationalError when the lock stays lost after 6 tries.
    """
    for attempt in range(TRIES):
        try:
            with opened(durable):
                return work()
        except OperationalError as error:
            inside = connection.in_atomic_block
            if inside or attempt == TRIES - 1 or not any(w in str(error) for w in AGAIN):
                raise
            time.sleep(random.uniform(0.01, 0.05) * (attempt + 1))
    raise AssertionError("unreachable")


@contextmanager
def opened(durable: bool) -> Iterator[None]:
    """A transaction; inside another one, a part of it."""
    if connection.in_atomic_block:
        with transaction.atomic():
            yield
    elif durable:
        with turn(), transaction.atomic():
            yield
    elif connection.vendor == "postgresql":
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL synchronous_commit TO OFF")
            yield
    else:
        # The log is written in the order of commits, and the next durable one, whoever's it is,
        # brings all before it to the disk; checkpoints wait for the disk at NORMAL too.
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA synchronous=NORMAL")
            try:
                with turn(), transaction.atomic():
                    yield
            finally:
                cursor.execute("PRAGMA synchronous=FULL")


def let_go() -> None:
    """Give a pooled connection back before waiting for something slow; SQLite's stays open."""
    if connection.vendor == "postgresql" and not connection.in_atomic_block:
        connection.close()
