"""The number of files a process may open; connections are files.

Rule 1: the soft limit is ours to raise up to the hard one; the hard one is the operator's.
Rule 2: a worker that may not open what its settings allow starts with what fits and says so: the
        default has to work on a machine that nobody has prepared, and fewer connections deliver
        more slowly but as well.
"""

from __future__ import annotations

import resource

#: Thousands of connections per worker; more would slow programs that walk all descriptors.
WANTED = 65_536
#: Files of a worker that are no connections to receivers: libraries, journal, logs, database,
#: Redis, broker, and a look-up of each batch under way.
RESERVE = 512


def allow_many_open_files() -> None:
    """Raise the soft limit of this process and its children as far as the hard one allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def connections_that_fit(wanted: int) -> int:
    """How many of the wanted connections this process may open, its soft limit raised; 0 or more.

    Each worker asks for itself: one that runs as a service of its own has no `up` above it.
    """
    allow_many_open_files()
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if soft == resource.RLIM_INFINITY else max(0, min(wanted, soft - RESERVE))


def too_few(wanted: int, fits: int) -> str:
    """What an operator reads when not all connections fit."""
    return (
        f"MAILMILL_DELIVER_CONNECTIONS={wanted} needs {wanted + RESERVE} open files, "
        f"{fits} connections fit: raise the limit of open files (ulimit -Hn, LimitNOFILE= of "
        "systemd, ulimits of Compose), or lower the setting"
    )
