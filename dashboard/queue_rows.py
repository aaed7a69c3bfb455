"""The rows of the queue page: one page of domains with what waits, why, and until when.

The order comes first (which domains are on this page), the figures of those rows after: whatever
the number of lanes, a page costs a bounded number of index look-ups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.utils import timezone

from dashboard import queries
from dashboard.kept import kept
from dashboard.queries import WAITING_SQL, Count, Survey, Tenants, fetch, marks, of_tenants
from mta.egress.models import Suspension
from mta.spool.ids import made_at

PER_PAGE = 50
#: Recipients counted per lane of a shown row; the survey tells of longer queues.
CAP = 2_000
#: Sort keys: title, and the lanes' column that orders them ("" when the survey does).
ORDERS: dict[str, tuple[str, str]] = {
    "domain": ("Domain", "domain"),
    "waiting": ("Waiting", ""),
    "oldest": ("Oldest", ""),
    "flight": ("In flight", ""),
    "reply": ("Last reply", "MAX(last_reply_at)"),
    "next": ("Next attempt", "MIN(due_at)"),
}


@dataclass(frozen=True, slots=True)
class QueueRow:
    """One domain (of the tenants in question) on the queue page."""

    domain: str
    site: str = ""
    lanes: int = 0
    waiting: Count = Count(0)  # noqa: RUF009  # frozen
    oldest_at: datetime | None = None
    in_flight: int = 0
    last_reply: str = ""
    last_reply_at: datetime | None = None
    next_at: datetime | None = None
    hold_reason: str = ""
    #: A person's word that this mail waits; "" when there is none.
    suspended: str = ""


@dataclass(frozen=True, slots=True)
class QueuePage:
    """What the queue page shows."""

    rows: tuple[QueueRow, ...]
    number: int
    has_next: bool
    order: str
    descending: bool
    survey: Survey


def queue_page(
    tenants: Tenants, *, order: str = "waiting", descending: bool = True, number: int = 1,
    search: str = "",
) -> QueuePage:  # fmt: skip
    """One page; `order` is a key of ORDERS, `number` counts from 1, `search` a part of a domain."""
    seen = queries.survey(tenants)
    flying = queries.in_flight(tenants)
    start = (max(1, number) - 1) * PER_PAGE
    if order in {"waiting", "oldest", "flight"} and not search:
        domains = ranked(seen, flying, order, descending)[start : start + PER_PAGE + 1]
    else:
        asked = ("listed", None if tenants is None else tuple(tenants), order, descending, start)
        domains = kept.get(
            (*asked, search),
            lambda: listed(tenants, order, descending, start, search),
            least=1.0,
        )
    rows = figures(domains[:PER_PAGE], tenants, flying, seen)
    return QueuePage(
        rows=tuple(rows), number=max(1, number), has_next=len(domains) > PER_PAGE, order=order,
        descending=descending, survey=seen,
    )  # fmt: skip


def ranked(seen: Survey, flying: dict[str, int], order: str, descending: bool) -> list[str]:
    """Domains in the order of the survey; those that began to fly since it are put in."""
    ranks = list(seen.ranks)
    known = {rank.domain for rank in ranks}
    ranks += [queries.Rank(domain, 0, 0) for domain in flying if domain not in known]
    if order == "oldest":
        # Descending is the greatest age: the smallest id. Rows without age come last in both.
        aged = sorted((r for r in ranks if r.oldest_id), key=lambda r: r.oldest_id)
        rest = [r for r in ranks if not r.oldest_id]
        return [r.domain for r in (aged if descending else aged[::-1]) + rest]
    if order == "flight":
        ranks.sort(key=lambda r: (flying.get(r.domain, 0), r.waiting), reverse=descending)
    else:
        ranks.sort(key=lambda r: r.waiting, reverse=descending)
    return [r.domain for r in ranks]


def listed(tenants: Tenants, order: str, descending: bool, start: int, search: str) -> list[str]:
    """Domains in the order of a column of their lanes; a search finds idle ones as well."""
    column = ORDERS.get(order, ORDERS["domain"])[1] or "domain"
    way = "DESC" if descending else "ASC"
    conditions, params = [of_tenants("tenant_id", tenants)], []
    if search:
        conditions.append("domain LIKE %s ESCAPE '!'")
        params.append("%" + search.replace("!", "!!").replace("%", "!%").replace("_", "!_") + "%")
    else:
        conditions.append("due_at IS NOT NULL")
    rows = fetch(
        f"SELECT domain FROM spool_lane WHERE {' AND '.join(conditions)} "  # noqa: S608
        f"GROUP BY domain ORDER BY ({column}) IS NULL, {column} {way}, domain "
        f"LIMIT {PER_PAGE + 1} OFFSET {int(start)}",
        params,
    )
    return [domain for (domain,) in rows]


def figures(
    domains: Sequence[str], tenants: Tenants, flying: dict[str, int], seen: Survey
) -> list[QueueRow]:
    """The figures of these domains, in their order."""
    told = {rank.domain: rank for rank in seen.ranks}
    rows = {domain: QueueRow(domain, in_flight=flying.get(domain, 0)) for domain in domains}
    for domain, values in lane_facts(domains, tenants).items():
        rows[domain] = replace(rows[domain], **values)
    for domain, (counted, oldest) in waiting_of(domains, tenants).items():
        count, oldest_id, surveyed = counted, oldest, told.get(domain)
        if counted.capped and surveyed and surveyed.waiting > counted.number:
            count, oldest_id = Count(surveyed.waiting), min(oldest, surveyed.oldest_id)
        rows[domain] = replace(
            rows[domain],
            waiting=count,
            oldest_at=made_at(oldest_id) if oldest_id else None,
        )
    return with_suspensions([rows[domain] for domain in domains])


def with_suspensions(rows: list[QueueRow]) -> list[QueueRow]:
    """Mark the rows whose domain or site a person has suspended; one query for all."""
    names = {row.domain for row in rows} | {row.site for row in rows if row.site}
    in_force = Suspension.objects.filter(
        Q(ends_at__isnull=True) | Q(ends_at__gt=timezone.now()), scope="site", key__in=names
    )
    words = {found.key: found.reason or "by an operator" for found in in_force} if rows else {}
    return [
        replace(row, suspended=words.get(row.domain) or words.get(row.site, "")) for row in rows
    ]


def waiting_of(domains: Sequence[str], tenants: Tenants) -> dict[str, tuple[Count, int]]:
    """(waiting, id of the oldest) by domain; each lane is read up to CAP recipients."""
    if not domains:
        return {}
    some = f"FROM spool_recipient r WHERE r.lane_id = l.id AND r.{WAITING_SQL} LIMIT {CAP + 1}"
    rows = fetch(
        f"SELECT l.domain, (SELECT COUNT(*) FROM (SELECT 1 {some}) a), "  # noqa: S608
        f"(SELECT MIN(id) FROM (SELECT r.id AS id {some}) b) FROM spool_lane l "
        f"WHERE l.domain IN ({marks(domains)}) AND {of_tenants('l.tenant_id', tenants)} "
        "AND l.due_at IS NOT NULL",
        domains,
    )
    sums: dict[str, tuple[Count, int]] = {}
    for domain, number, oldest in rows:
        before, first = sums.get(domain, (Count(0), 0))
        together = Count(before.number + min(number, CAP), before.capped or number > CAP)
        sums[domain] = (together, min(filter(None, (first, oldest or 0)), default=0))
    return sums


def lane_facts(domains: Sequence[str], tenants: Tenants) -> dict[str, dict[str, Any]]:
    """Site, last reply, next attempt and hold reason by domain, over all its lanes."""
    if not domains:
        return {}
    rows = fetch(
        "SELECT domain, site, last_reply, last_reply_at, due_at, hold_reason, lanes FROM ("  # noqa: S608
        "SELECT domain, site, last_reply, MAX(last_reply_at) OVER w AS last_reply_at, "
        "MIN(due_at) OVER w AS due_at, MAX(hold_reason) OVER w AS hold_reason, "
        "COUNT(*) OVER w AS lanes, ROW_NUMBER() OVER ("
        "PARTITION BY domain ORDER BY COALESCE(last_reply_at, 0) DESC, site DESC) AS place "
        f"FROM spool_lane WHERE domain IN ({marks(domains)}) "
        f"AND {of_tenants('tenant_id', tenants)} WINDOW w AS (PARTITION BY domain)) f "
        "WHERE place = 1",
        domains,
    )
    return {
        domain: {
            "site": site,
            "last_reply": reply,
            "last_reply_at": queries.from_ms_or_none(reply_at),
            "next_at": queries.from_ms_or_none(due_at),
            "hold_reason": hold,
            "lanes": lanes,
        }
        for domain, site, reply, reply_at, due_at, hold, lanes in rows
    }
