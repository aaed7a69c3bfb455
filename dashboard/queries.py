"""What the pages ask the database: bounded per page, by index, the same on both databases.

Rule 1: a page counts the waiting of a lane up to a cap; more is told by the survey.
Rule 2: the survey reads the whole index of waiting recipients once for everybody and is kept
        (dashboard.kept): its cost grows with the spool, its share of a core does not.
Rule 3: `tenants` is None for everybody's mail, else the ids of the tenants in question.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from dashboard.kept import kept
from mta.spool.ids import made_at
from mta.spool.models import WAITING
from mta.storage.fields import from_ms, now_ms

Tenants = Sequence[int] | None
Rows = list[tuple[Any, ...]]
#: Recipients counted per lane where each lane is shown.
CAP = 10_000
#: Domains that the survey ranks; beyond them, sort by domain.
RANKED = 1_000
#: Events read for the last hour's figures.
EVENT_CAP = 200_000
#: Word for word the condition of the partial index: SQLite uses it only then (even the order of
#: the states counts), and parameters would hide it from both planners.
WAITING_SQL = "state IN ({})".format(", ".join(f"'{state}'" for state in WAITING))


@dataclass(frozen=True, slots=True)
class Count:
    """A number that may have stopped being counted."""

    number: int
    capped: bool = False

    def __str__(self) -> str:
        return f"{self.number:,}" + ("+" if self.capped else "")


@dataclass(frozen=True, slots=True)
class Rank:
    """A domain in the survey."""

    domain: str
    waiting: int
    oldest_id: int


@dataclass(frozen=True, slots=True)
class Survey:
    """The whole spool at one moment: the domains with most waiting, and the sums."""

    ranks: tuple[Rank, ...]
    domains: int
    waiting: int
    in_flight: int
    oldest_at: datetime | None
    by_priority: dict[int, int]


@dataclass(frozen=True, slots=True)
class Hour:
    """What happened in the last hour."""

    delivered: int
    bounced: int
    deferred: int
    #: More happened than was read: the figures are lower bounds.
    capped: bool


def fetch(sql: str, params: Iterable[Any] = ()) -> Rows:
    with connection.cursor() as cursor:
        cursor.execute(sql, list(params))
        rows: Rows = cursor.fetchall()
        return rows


def marks(values: Sequence[Any]) -> str:
    return ", ".join(["%s"] * len(values)) or "NULL"


def of_tenants(column: str, tenants: Tenants) -> str:
    """A condition on a tenant id column; the ids are integers, so they can stand in the text."""
    if tenants is None:
        return "1 = 1"
    return f"{column} IN ({', '.join(str(int(one)) for one in tenants) or 'NULL'})"


def survey(tenants: Tenants = None) -> Survey:
    """The survey, at most a few seconds old."""
    key = ("survey", None if tenants is None else tuple(tenants))
    return kept.get(key, lambda: take_survey(tenants), least=2.0)


def take_survey(tenants: Tenants) -> Survey:
    """Count every waiting recipient by lane (one scan of the index), then sum up by domain."""
    rows = fetch(
        "SELECT l.domain, l.priority, SUM(w.n), MIN(w.oldest) FROM ("  # noqa: S608
        "SELECT lane_id, COUNT(*) AS n, MIN(id) AS oldest FROM spool_recipient "
        f"WHERE {WAITING_SQL} GROUP BY lane_id) w JOIN spool_lane l ON l.id = w.lane_id "
        f"WHERE {of_tenants('l.tenant_id', tenants)} GROUP BY l.domain, l.priority"
    )
    sums: dict[str, tuple[int, int]] = {}
    by_priority: dict[int, int] = {}
    for domain, priority, number, oldest in rows:
        before, first = sums.get(domain, (0, oldest))
        sums[domain] = (before + int(number), min(first, oldest))
        by_priority[priority] = by_priority.get(priority, 0) + int(number)
    flying = in_flight(tenants)
    for domain in flying:
        sums.setdefault(domain, (0, 0))
    ranks = sorted(
        (Rank(domain, number, first) for domain, (number, first) in sums.items()),
        key=lambda rank: (-rank.waiting, rank.domain),
    )
    oldest_id = min((rank.oldest_id for rank in ranks if rank.oldest_id), default=0)
    return Survey(
        ranks=tuple(ranks[:RANKED]),
        domains=len(ranks),
        waiting=sum(by_priority.values()),
        in_flight=sum(flying.values()),
        oldest_at=made_at(oldest_id) if oldest_id else None,
        by_priority=by_priority,
    )


def in_flight(tenants: Tenants = None) -> dict[str, int]:
    """Claimed recipients by domain; their number is bounded by the batches under way."""
    rows = fetch(
        "SELECT l.domain, COUNT(*) FROM spool_recipient r JOIN spool_lane l ON l.id = r.lane_id "  # noqa: S608
        f"WHERE r.state = 'claimed' AND {of_tenants('l.tenant_id', tenants)} GROUP BY l.domain"
    )
    return {domain: int(number) for domain, number in rows}


def last_hour(tenants: Tenants = None) -> Hour:
    """Figures of the last hour, at most 5 seconds old."""
    key = ("hour", None if tenants is None else tuple(tenants))
    return kept.get(key, lambda: count_hour(tenants), least=5.0)


def count_hour(tenants: Tenants) -> Hour:
    start = first_event_after(now_ms() - 3_600_000)
    rows = fetch(
        "SELECT kind, COUNT(*) FROM (SELECT kind FROM events_event "  # noqa: S608
        f"WHERE id >= %s AND {of_tenants('tenant_id', tenants)} ORDER BY id DESC LIMIT {EVENT_CAP})"
        " e GROUP BY kind",
        [start],
    )
    by_kind = {kind: int(number) for kind, number in rows}
    return Hour(
        delivered=by_kind.get("delivery", 0),
        bounced=sum(by_kind.get(kind, 0) for kind in ("bounce", "expiration", "admin_bounce")),
        deferred=by_kind.get("deferral", 0),
        capped=sum(by_kind.values()) >= EVENT_CAP,
    )


def first_event_after(instant_ms: int) -> int:
    """The smallest event id at or after the instant: events are numbered in order of time, so a
    search by halves (some 30 look-ups by key) replaces an index on the instant."""
    ((low, high),) = fetch("SELECT MIN(id), MAX(id) FROM events_event")
    if low is None:
        return 0
    high += 1
    while low < high:
        middle = (low + high) // 2
        found = fetch(
            "SELECT id, at FROM events_event WHERE id >= %s ORDER BY id LIMIT 1", [middle]
        )
        if not found or found[0][1] >= instant_ms:
            high = middle
        else:
            low = int(found[0][0]) + 1
    return int(low)


def from_ms_or_none(value: int | None) -> datetime | None:
    return None if value is None else from_ms(value)
