"""What waits, where, since when and why: the queues as one bounded list.

Waiting and claimed recipients are counted through their partial indexes. Held ones are rare and
have none: counting them reads the table once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from dashboard.queries import WAITING_SQL, fetch
from mta.control.refusal import Refused
from mta.control.selection import domain_named
from mta.egress.models import Pool
from mta.egress.sources import read_suspensions
from mta.policy.lifecycle import WAITING, State
from mta.spool.ids import made_at
from mta.spool.lanes import URGENCY
from mta.spool.models import Lane
from mta.tenants.models import Tenant

#: States in which mail is in the queue.
QUEUED = ("scheduled", "deferred", "claimed", "held")


@dataclass(frozen=True, slots=True)
class QueueLine:
    """One lane: the mail of a stream to a domain."""

    domain: str
    site: str
    tenant: str
    stream: str
    urgency: str
    #: Where a person moved it; "" is the stream's pool.
    pool: str
    waiting: int
    in_flight: int
    held: int
    oldest_at: datetime | None
    next_attempt_at: datetime | None
    last_reply: str
    last_reply_at: datetime | None
    #: Why it waits before any attempt; a suspension in force comes first.
    hold_reason: str


@dataclass(frozen=True, slots=True)
class Queues:
    """The longest queues, and the sums over all that were asked for."""

    lines: tuple[QueueLine, ...]
    lanes: int
    waiting: int
    in_flight: int
    held: int


def queues(*, tenant: str = "", domain: str = "", state: str = "", limit: int = 50) -> Queues:
    """The `limit` lanes with most mail; Refused for a tenant or state that does not exist."""
    if state and state not in QUEUED:
        raise Refused("--state", f"{state!r} is in no queue; give one of {', '.join(QUEUED)}.")
    if limit < 1:
        raise Refused("--limit", "give at least 1.")
    rows = fetch(*counted(lanes_meant(tenant, domain), state, limit))
    if not rows:
        return Queues((), 0, 0, 0, 0)
    lanes = Lane.objects.select_related("tenant", "stream").in_bulk([row[0] for row in rows])
    suspended = read_suspensions()
    moved = {lane.pool_id for lane in lanes.values()} - {0}
    pools = dict(Pool.objects.filter(pk__in=moved).values_list("pk", "name")) if moved else {}
    found = [
        queue_line(lanes[lane_id], int(waiting), int(flying), int(held), oldest, suspended, pools)
        for lane_id, waiting, flying, held, oldest, *_ in rows
        if lane_id in lanes
    ]
    lane_count, waiting, flying, held = (int(total) for total in rows[0][5:])
    return Queues(tuple(found), lane_count, waiting, flying, held)


def lanes_meant(tenant: str, domain: str) -> tuple[str, list[str | int]]:
    """A condition on lane_id in SQL, with its parameters."""
    conditions: list[str] = []
    params: list[str | int] = []
    if tenant:
        found = Tenant.objects.filter(name=tenant).values_list("pk", flat=True).first()
        if found is None:
            raise Refused("--tenant", f"there is no tenant named {tenant!r}.")
        conditions.append("tenant_id = %s")
        params.append(found)
    if domain:
        conditions.append("domain = %s")
        params.append(domain_named(domain, "--domain"))
    if not conditions:
        return "1 = 1", []
    return f"lane_id IN (SELECT id FROM spool_lane WHERE {' AND '.join(conditions)})", params  # noqa: S608


def counted(
    meant: tuple[str, list[str | int]], state: str, limit: int
) -> tuple[str, list[str | int]]:
    """The query: lane, its three counts, its oldest id; then the sums over all lanes."""
    condition, params = meant
    parts: list[tuple[str, str]] = []
    if not state or State(state) in WAITING:
        only = f" AND state = '{state}'" if state else ""
        parts.append(("COUNT(*) AS w, 0 AS f, 0 AS h", WAITING_SQL + only))
    if state in {"", "claimed"}:
        parts.append(("0 AS w, COUNT(*) AS f, 0 AS h", "state = 'claimed'"))
    if state in {"", "held"}:
        parts.append(("0 AS w, 0 AS f, COUNT(*) AS h", "state = 'held'"))
    union = " UNION ALL ".join(
        f"SELECT lane_id, {counts}, MIN(id) AS oldest FROM spool_recipient "  # noqa: S608
        f"WHERE {where} AND {condition} GROUP BY lane_id"
        for counts, where in parts
    )
    sql = (
        "SELECT lane_id, w, f, h, oldest, COUNT(*) OVER (), SUM(w) OVER (), SUM(f) OVER (), "  # noqa: S608
        "SUM(h) OVER () FROM (SELECT lane_id, SUM(w) AS w, SUM(f) AS f, SUM(h) AS h, "
        f"MIN(oldest) AS oldest FROM ({union}) parts GROUP BY lane_id) sums "
        f"ORDER BY w + f + h DESC, lane_id LIMIT {int(limit)}"
    )
    return sql, params * len(parts)


def queue_line(
    lane: Lane,
    waiting: int,
    flying: int,
    held: int,
    oldest: int | None,
    suspended: frozenset[tuple[str, str]],
    pools: Mapping[int, str],
) -> QueueLine:
    return QueueLine(
        domain=lane.domain,
        site=lane.site,
        tenant=lane.tenant.name,
        stream=lane.stream.name,
        urgency=URGENCY[lane.priority],
        pool=pools.get(lane.pool_id, ""),
        waiting=waiting,
        in_flight=flying,
        held=held,
        oldest_at=made_at(oldest) if oldest else None,
        next_attempt_at=lane.due_at if waiting else None,
        last_reply=lane.last_reply,
        last_reply_at=lane.last_reply_at,
        hold_reason=suspension_of(lane, suspended) or lane.hold_reason,
    )


def suspension_of(lane: Lane, suspended: frozenset[tuple[str, str]]) -> str:
    keys: Sequence[tuple[str, str]] = [
        ("tenant", lane.tenant.name),
        ("site", lane.domain),
        ("site", lane.site),
    ]
    return next(
        (f"{scope} {key} is suspended" for scope, key in keys if (scope, key) in suspended), ""
    )
