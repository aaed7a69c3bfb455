"""The rules in force for limits and automations: the shipped ones under those from the admin.

Rule 1: what a person changes acts within KEEP_SECONDS, in every process, without a restart; mail
        that waits for the old rule is let go by mta.spool.rule_changes.
Rule 2: limits of a path are layered once for as long as the rules stay as they are.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from mta.egress.models import AutomationRule as AutomationRow
from mta.egress.models import ShapingRule as Row
from mta.policy.automation_check import problems_of
from mta.policy.automation_rules import AutomationRule, load_automations
from mta.policy.shaping import VALUES, Explained, ShapingRule, limits_for, load_rules, providers

KEEP_SECONDS = 3.0
#: Paths remembered between two changes of the rules; with more all are forgotten.
MOST_PATHS = 10_000

_Path = tuple[str, tuple[str, ...], str]


class _Read(NamedTuple):
    """What was last read, at `at` of the monotonic clock, and what was made of it."""

    at: float
    rules: tuple[ShapingRule, ...]
    automations: tuple[AutomationRule, ...]
    paths: dict[_Path, Explained]


_last: list[_Read] = []


def rules() -> Sequence[ShapingRule]:
    """All rules, the admin's last so that they win; at most KEEP_SECONDS old."""
    return _fresh().rules


def automations() -> Sequence[AutomationRule]:
    """All automations; the admin's row of a shipped name replaces it, or switches it off."""
    return _fresh().automations


def limits_of_path(site: str, mx_hosts: Sequence[str], source: str = "") -> Explained:
    """What limits_for() makes of the rules in force; cheap when it was asked before."""
    read = _fresh()
    key = (site, tuple(mx_hosts), source)
    found = read.paths.get(key)
    if found is None:
        found = limits_for(read.rules, site=site, mx_hosts=mx_hosts, source=source)
        if len(read.paths) >= MOST_PATHS:
            read.paths.clear()
        read.paths[key] = found
    return found


def _fresh() -> _Read:
    now = time.monotonic()
    last = _last[0] if _last else None
    if last is not None and now - last.at <= KEEP_SECONDS:
        return last
    own = [from_row(row) for row in Row.objects.filter(enabled=True).select_related("source")]
    found: tuple[ShapingRule, ...] = (*shipped(), *own)
    automated = _automations(found)
    if last is not None:  # what has not changed stays the same object: others remember by it
        automated = last.automations if automated == last.automations else automated
        found = last.rules if found == last.rules else found
    paths = last.paths if last is not None and last.rules is found else {}
    _last[:] = [_Read(now, found, automated, paths)]
    return _last[0]


def _automations(shaping: Sequence[ShapingRule]) -> tuple[AutomationRule, ...]:
    rows = list(AutomationRow.objects.all())
    replaced = {row.name for row in rows}
    known = providers(shaping)
    own = [automation_from_row(row) for row in rows if row.enabled]
    # A row that no form has checked must not stop mail: check_rules tells about it.
    sound = (rule for rule in own if not problems_of([rule], known, shipped=False))
    # The admin's are asked first: who adds one means it.
    return (*sound, *(rule for rule in shipped_automations() if rule.name not in replaced))


@cache
def shipped() -> Sequence[ShapingRule]:
    return load_rules()


@cache
def shipped_automations() -> Sequence[AutomationRule]:
    return load_automations()


def from_row(row: Row) -> ShapingRule:
    """The admin's row as a rule; empty fields are inherited."""
    values = {name: value for name in VALUES if (value := getattr(row, name)) not in (None, "")}
    return ShapingRule(
        name=f"admin: {row}",
        match_kind=row.match_kind,
        match=row.match,
        values=values,
        suffixes=suffixes_of(row.mx_suffixes),
        source=row.source.name if row.source else "",
    )


def suffixes_of(text: str) -> tuple[str, ...]:
    """MX suffixes from the admin: "mx.example.com, example.net"."""
    return tuple(word for part in text.split(",") if (word := part.strip()))


def automation_from_row(row: AutomationRow) -> AutomationRule:
    """The admin's row as an automation; it has no samples."""
    return AutomationRule(
        name=row.name,
        pattern=row.pattern,
        action=row.action,
        duration_seconds=row.duration_seconds,
        provider=row.provider,
        threshold=row.threshold,
        window_seconds=row.window_seconds,
        rate_per_minute=row.rate_per_minute or 0.0,
        connections=row.connections or 0,
        messages_per_connection=row.messages_per_connection or 0,
    )
