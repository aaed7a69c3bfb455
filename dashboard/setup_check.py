"""Is this instance ready for real mail? Each thing is looked at by itself, with a time-out.

Rule 1: nothing is changed, nobody is written to; the only hosts asked are the configured ones.
Rule 2: every finding that is not ok names the fix.
Rule 3: a check that breaks is a failed check, never the end of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

from django.db import Error as DatabaseError
from redis import RedisError

from dashboard import setup_check_host, setup_check_names, setup_check_stores
from dashboard.setup_check_finding import FAIL, Finding, failed

Check = Callable[[], list[Finding]]

#: In the order in which an operator would mend them.
CHECKS: dict[str, Check] = {
    "data folder": setup_check_host.data_folder,
    "file limits": setup_check_host.file_limits,
    "connections": setup_check_host.delivery_connections,
    "ports": setup_check_host.ports,
    "database": setup_check_stores.database,
    "migrations": setup_check_stores.migrations,
    "redis": setup_check_stores.redis_server,
    "clock": setup_check_stores.clock,
    "secret key": setup_check_stores.secret_key,
    "profile": setup_check_stores.profile,
    "hostname": setup_check_names.own_name,
    "dns": setup_check_names.resolvers,
    "sources": setup_check_host.sources,
    "ptr": setup_check_names.reverse_names,
}


def check_setup() -> Iterator[Finding]:
    """The findings, check by check, as they come."""
    for name, check in CHECKS.items():
        try:
            yield from check()
        except (DatabaseError, RedisError, OSError, ValueError) as error:
            said = type(error).__name__
            with suppress(IndexError):
                said = f"{said}: {str(error).splitlines()[0][:200]}"
            yield failed(name, said, "mend what is named here, then check again.")


def passed(findings: list[Finding]) -> bool:
    """Nothing failed; a warning is for a person to judge."""
    return all(finding.state != FAIL for finding in findings)
