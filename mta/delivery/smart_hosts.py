"""Smart hosts: sources that are somebody else's relay; where they listen and how we log in.

Rule 1: passwords are read by `logins` alone, in the worker that logs in, and go nowhere but into
        a Login.
Rule 2: whatever is wrong with a smart host is the operator's trouble: temporary, and told to him.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass

import redis
from django.db import DatabaseError

from mta import wiring
from mta.delivery.batch import Path
from mta.egress.models import Source, SourceKind
from mta.events import decisions
from mta.net.smtp_auth import Login
from mta.storage.secrets import WrongKey
from mta.storage.transactions import let_go, write

log = logging.getLogger(__name__)
#: A change in the admin acts within this many seconds.
KEEP_SECONDS = 3.0
#: RFC 6409: message submission, with STARTTLS.
SUBMISSION_PORT = 587
#: A log-in that keeps failing is written down this often, seconds.
TELL_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class SmartHost:
    """Where a smart host listens, and which TLS mode its source asks for."""

    host: str
    port: int
    tls: str


_last: list[tuple[float, dict[int, SmartHost]]] = []
#: By source id: until when it is trusted, and the log-in (None: there is none).
_logins: dict[int, tuple[float, Login | None]] = {}


def smart_hosts() -> dict[int, SmartHost]:
    """By source id; at most KEEP_SECONDS old."""
    now = time.monotonic()
    known = _last[:]  # another thread may forget meanwhile
    if not known or now - known[0][0] > KEEP_SECONDS:
        known = [(now, read())]
        _last[:] = known
    return known[0][1]


def read() -> dict[int, SmartHost]:
    rows = Source.objects.filter(kind=SourceKind.SMART_HOST)
    return {
        pk: SmartHost(host, port or SUBMISSION_PORT, tls)
        for pk, host, port, tls in rows.values_list("pk", "host", "port", "tls")
    }


def forget() -> None:
    """Read anew at the next call (tests, and processes that changed it themselves)."""
    _last.clear()
    _logins.clear()


def smart_host(source_id: int) -> SmartHost | None:
    """The smart host that the source is; None when it is none, or gone."""
    return smart_hosts().get(source_id)


def logins(paths: Iterable[Path | None]) -> dict[int, Login | None]:
    """By source id, for those paths that lead to a smart host; no query when none does."""
    wanted = {path.source_id for path in paths if path is not None and path.port}
    return {source_id: login(source_id) for source_id in wanted}


def login(source_id: int) -> Login | None:
    """The log-in of one source, at most KEEP_SECONDS old."""
    now = time.monotonic()
    known = _logins.get(source_id)
    if known is None or known[0] < now:
        known = _logins[source_id] = (now + KEEP_SECONDS, read_login(source_id))
    return known[1]


def read_login(source_id: int) -> Login | None:
    """A password that cannot be decrypted is like a wrong one: told, and mended by a person."""
    row = Source.objects.defer("password").filter(pk=source_id).first()
    if row is None or not row.username:
        return None
    try:
        return Login(row.username, bytes(row.password or b"").decode())
    except WrongKey:
        log.error("the password of source %s was encrypted with another secret key", row.name)
        return Login(row.username, "")


def login_refused(source: str, site: str, why: str) -> None:
    """Tell the operator: in the log each time, among the decisions once an hour.

    Called in a thread that may have no database connection; it keeps none.
    """
    log.error("log-in at %s for source %s failed: %s", site, source, why)
    memory, key = wiring.memory(), f"login-refused:{source}"
    try:
        if memory.recall(key):
            return
        memory.remember(key, TELL_SECONDS)
        write(
            lambda: decisions.record(
                "login_failed", actor="routing", source=source, site=site,
                reason=f"the log-in of source {source} at {site} fails: {why}; its mail waits",
            )
        )  # fmt: skip
    except (redis.RedisError, DatabaseError) as error:  # the log has it; mail must not suffer
        log.warning("failed log-in not written down: %s", type(error).__name__)
    finally:
        let_go()
