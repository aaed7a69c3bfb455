"""What is due: the questions dispatch asks, each one short index scans whatever waits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db import connection

from mta.spool.lanes import PRIORITIES

DUE = (
    "EXISTS (SELECT 1 FROM spool_lane WHERE tenant_id = t.id AND priority = %s "
    "AND due_at IS NOT NULL AND due_at <= %s)"
)


@dataclass(frozen=True, slots=True)
class DueLane:
    """A lane with something due now."""

    id: int
    tenant_id: int
    stream_id: int
    domain: str
    site: str
    priority: int
    window: int
    pool_id: int = 0
    #: The limit that put it off last; "" when none did.
    gate: str = ""
    due_at: int = 0


def tenants_due(now: int) -> list[int]:
    """Tenants with a due lane: three index seeks a tenant, however many lanes they have."""
    due = " OR ".join([DUE] * len(PRIORITIES))
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH RECURSIVE t(id) AS ("  # noqa: S608
            "SELECT min(tenant_id) FROM spool_lane WHERE due_at IS NOT NULL UNION ALL "
            "SELECT (SELECT min(tenant_id) FROM spool_lane WHERE due_at IS NOT NULL "
            "AND tenant_id > t.id) FROM t WHERE t.id IS NOT NULL) "
            f"SELECT id FROM t WHERE id IS NOT NULL AND ({due})",
            [value for priority in PRIORITIES for value in (priority, now)],
        )
        return [row[0] for row in cursor.fetchall()]


def lanes_due(
    tenant_id: int, now: int, *, skip_domains: Iterable[str], limit: int
) -> list[DueLane]:
    """The tenant's due lanes by urgency, oldest first, without the named domains.

    At most `limit` of each urgency: one never crowds out the other.
    """
    skipped = sorted(skip_domains)
    without = f"AND domain NOT IN ({','.join(['%s'] * len(skipped))})" if skipped else ""
    found: list[DueLane] = []
    with connection.cursor() as cursor:
        # One range of the index a priority: a single question would pass over all that is not due.
        for priority in PRIORITIES:
            cursor.execute(
                'SELECT id, tenant_id, stream_id, domain, site, priority, "window", pool_id, '  # noqa: S608
                "gate, due_at FROM spool_lane WHERE tenant_id = %s AND priority = %s "
                f"AND due_at IS NOT NULL AND due_at <= %s {without} ORDER BY due_at LIMIT %s",
                [tenant_id, priority, now, *skipped, limit],
            )
            found += [DueLane(*row) for row in cursor.fetchall()]
    return found


def next_due_at(after: int) -> int | None:
    """The next instant (ms) after `after` at which a lane becomes due; None when nothing waits."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT min(due_at) FROM spool_lane WHERE due_at IS NOT NULL AND due_at > %s", [after]
        )
        row = cursor.fetchone()
    return None if row is None else row[0]
