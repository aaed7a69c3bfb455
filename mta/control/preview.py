"""What an action would change, counted before it is done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Min

from mta.control.selection import Selection
from mta.policy.lifecycle import State
from mta.spool.ids import made_at

#: Domains and tenants named in a preview, those with most recipients first.
NAMED = 10


@dataclass(frozen=True, slots=True)
class Preview:
    """Recipients that the action takes, by state, domain and tenant."""

    total: int
    by_state: dict[str, int]
    by_domain: dict[str, int]
    domains: int
    by_tenant: dict[str, int]
    tenants: int
    oldest_at: datetime | None
    #: Meant as well, but in the hands of a worker: left alone.
    in_flight: int


def preview(selection: Selection, states: frozenset[State]) -> Preview:
    """Count what an action that takes `states` would change."""
    rows = selection.rows(states)
    grouped = rows.values_list("state", "lane__domain", "lane__tenant__name").annotate(
        n=Count("pk"), oldest=Min("pk")
    )
    by_state: dict[str, int] = {}
    by_domain: dict[str, int] = {}
    by_tenant: dict[str, int] = {}
    oldest = 0
    for state, domain, tenant, number, first in grouped:
        for sums, key in ((by_state, state), (by_domain, domain), (by_tenant, tenant)):
            sums[key] = sums.get(key, 0) + number
        oldest = min(oldest or first, first)
    flying = 0
    if selection.states is None:
        flying = selection.rows(frozenset({State.CLAIMED})).count()
    return Preview(
        total=sum(by_state.values()),
        by_state=by_state,
        by_domain=largest(by_domain),
        domains=len(by_domain),
        by_tenant=largest(by_tenant),
        tenants=len(by_tenant),
        oldest_at=made_at(oldest) if oldest else None,
        in_flight=flying,
    )


def largest(sums: dict[str, int]) -> dict[str, int]:
    ordered = sorted(sums.items(), key=lambda item: (-item[1], item[0]))
    return dict(ordered[:NAMED])
