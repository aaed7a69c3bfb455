"""The shaping rules in force: the shipped ones under those from the admin."""

from __future__ import annotations

import time
from collections.abc import Sequence

from mta.egress.models import ShapingRule as Row
from mta.policy.shaping import VALUES, ShapingRule, load_rules

KEEP_SECONDS = 3.0
_last: list[tuple[float, Sequence[ShapingRule]]] = []


def rules() -> Sequence[ShapingRule]:
    """All rules, the admin's last so that they win; at most KEEP_SECONDS old."""
    now = time.monotonic()
    if not _last or now - _last[0][0] > KEEP_SECONDS:
        own = [from_row(row) for row in Row.objects.filter(enabled=True).select_related("source")]
        _last[:] = [(now, (*shipped(), *own))]
    return _last[0][1]


_shipped: list[Sequence[ShapingRule]] = []


def shipped() -> Sequence[ShapingRule]:
    if not _shipped:
        _shipped.append(tuple(load_rules()))
    return _shipped[0]


def from_row(row: Row) -> ShapingRule:
    """The admin's row as a rule; empty fields are inherited."""
    values = {name: value for name in VALUES if (value := getattr(row, name, None)) not in (None, "")}
    return ShapingRule(
        name=f"admin: {row}",
        match_kind=row.match_kind,
        match=row.match,
        values=values,
        source=row.source.name if row.source else "",
    )
