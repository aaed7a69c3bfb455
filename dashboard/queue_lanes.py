"""The lanes of one domain, and the recipients whose turn comes next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from dashboard.queries import CAP, WAITING_SQL, Count, Tenants, fetch, from_ms_or_none, of_tenants
from mta.spool.ids import made_at
from mta.spool.lanes import URGENCY
from mta.spool.models import Recipient

#: Lanes shown of one domain, those with the nearest attempt first.
LANES = 200
NEXT = 50


@dataclass(frozen=True, slots=True)
class LaneRow:
    """The mail of one stream to the domain."""

    lane_id: int
    tenant: str
    stream: str
    priority: int
    site: str
    waiting: Count
    oldest_at: datetime | None
    in_flight: int
    window: int
    due_at: datetime | None
    last_reply: str
    last_reply_at: datetime | None
    hold_reason: str

    @property
    def urgency(self) -> str:
        return URGENCY[self.priority]


def lane_rows(domain: str, tenants: Tenants) -> list[LaneRow]:
    """Lanes of the domain; each is counted up to CAP."""
    some = f"FROM spool_recipient r WHERE r.lane_id = l.id AND r.{WAITING_SQL} LIMIT {CAP + 1}"
    rows = fetch(
        f"SELECT l.id, t.name, s.name, l.priority, l.site, "  # noqa: S608
        f"(SELECT COUNT(*) FROM (SELECT 1 {some}) a), "
        f"(SELECT MIN(id) FROM (SELECT r.id AS id {some}) b), l.window, l.due_at, l.last_reply, "
        "l.last_reply_at, l.hold_reason FROM spool_lane l "
        "JOIN tenants_tenant t ON t.id = l.tenant_id JOIN tenants_stream s ON s.id = l.stream_id "
        f"WHERE l.domain = %s AND {of_tenants('l.tenant_id', tenants)} "
        f"ORDER BY l.due_at IS NULL, l.due_at LIMIT {LANES}",
        [domain],
    )
    flying = flying_by_lane([row[0] for row in rows])
    return [
        LaneRow(
            lane_id=lane_id,
            tenant=tenant,
            stream=stream,
            priority=priority,
            site=site,
            waiting=Count(min(number, CAP), number > CAP),
            oldest_at=made_at(oldest) if oldest else None,
            in_flight=flying.get(lane_id, 0),
            window=window,
            due_at=from_ms_or_none(due_at),
            last_reply=reply,
            last_reply_at=from_ms_or_none(reply_at),
            hold_reason=hold,
        )
        for lane_id, tenant, stream, priority, site, number, oldest, window, due_at, reply,
        reply_at, hold in rows
    ]  # fmt: skip


def flying_by_lane(lane_ids: Sequence[int]) -> dict[int, int]:
    """Claimed recipients of these lanes, through the small index of claims."""
    if not lane_ids:
        return {}
    listed = ", ".join(str(int(lane_id)) for lane_id in lane_ids)
    rows = fetch(
        "SELECT lane_id, COUNT(*) FROM spool_recipient "  # noqa: S608
        f"WHERE state = 'claimed' AND lane_id IN ({listed}) GROUP BY lane_id"
    )
    return {lane_id: int(number) for lane_id, number in rows}


def next_to_go(lane_ids: Sequence[int]) -> list[Recipient]:
    """The recipients of these lanes with the nearest attempt, a few from each lane."""
    nearest: list[int] = []
    for lane_id in lane_ids[:20]:
        rows = fetch(
            f"SELECT id FROM spool_recipient WHERE lane_id = %s AND {WAITING_SQL} "  # noqa: S608
            f"ORDER BY next_attempt_at LIMIT {NEXT}",
            [lane_id],
        )
        nearest += [row[0] for row in rows]
    found = Recipient.objects.filter(pk__in=nearest).select_related("message")
    return list(found.defer("substitutions").order_by("next_attempt_at", "pk")[:NEXT])
