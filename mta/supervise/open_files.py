"""The number of files a process may open; connections are files."""

from __future__ import annotations

import resource

#: Thousands of connections per worker; more would slow programs that walk all descriptors.
WANTED = 65_536


def allow_many_open_files() -> None:
    """Raise the soft limit of this process and its children as far as the hard one allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
