"""Whose turn it is to write to SQLite: writers queue at a lock file instead of polling.

SQLite lets one writer in at a time; the others ask again after 1, 2, 5, 10 ... 100 ms, in no order,
so the disk stands idle and somebody waits for a long time. The kernel wakes the next writer of a
lock file the moment it is free, in the order of asking. Whoever writes without the file (the
admin's forms) still waits as SQLite has it: the file is about time, not about correctness.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import connection

SUFFIX = "-turn"


class _Files(threading.local):
    """This thread's lock file: path, process and descriptor. A fork must not share a lock."""

    opened: tuple[str, int, int] | None = None


_files = _Files()


@contextmanager
def turn() -> Iterator[None]:
    """Wait for the turn, and keep it; nothing for databases that are not a file of SQLite's."""
    file = descriptor()
    if file is None:
        yield
        return
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(file, fcntl.LOCK_UN)


def descriptor() -> int | None:
    """The lock file of this thread."""
    name = str(connection.settings_dict["NAME"])
    if connection.vendor != "sqlite" or not Path(name).is_absolute():
        return None
    known = _files.opened
    if known is None or known[:2] != (name, os.getpid()):
        if known is not None and known[1] == os.getpid():
            os.close(known[2])
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        known = _files.opened = (name, os.getpid(), os.open(name + SUFFIX, flags, 0o640))
    return known[2]
