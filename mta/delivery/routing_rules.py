"""The routing rules in force, compiled, and what is done with one that is in trouble."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from mta.delivery.choice import Choice
from mta.egress.models import RoutingAction, RoutingPriority, RoutingRule
from mta.events import decisions
from mta.policy.routing import RuleFault
from mta.storage.transactions import write

if TYPE_CHECKING:
    from mta.policy.condition import Condition

log = logging.getLogger(__name__)
#: A change in the admin acts within this many seconds.
KEEP_SECONDS = 3.0
#: Troubles that a process remembers to have told.
MOST_TOLD = 1000


@dataclass(frozen=True, slots=True)
class LiveRule:
    """A rule of the admin with its condition compiled."""

    name: str
    condition: Condition
    action: str
    reason: str
    #: The pool's owner; None: anybody's.
    pool_tenant_id: int | None
    #: Where mail goes for which it holds.
    way: Choice = field(repr=False)

    @property
    def held_because(self) -> str:
        return f"held by the rule {self.name}" + (f": {self.reason}" if self.reason else "")

    @property
    def reply(self) -> str:
        """Our own reply (RFC 3463 X.7.1: delivery not authorized)."""
        return f"550 5.7.1 {self.reason or f'refused by the rule {self.name}'}"

    def check_tenant(self, tenant_id: int) -> None:
        """PermissionError when it would send mail through a pool of somebody else."""
        if self.pool_tenant_id not in (None, tenant_id):
            raise PermissionError("its pool belongs to another tenant")


_last: list[tuple[float, tuple[LiveRule, ...]]] = []


def rules() -> tuple[LiveRule, ...]:
    """The enabled rules in their order, at most KEEP_SECONDS old."""
    now = time.monotonic()
    known = _last[:]  # another thread may forget meanwhile
    if not known or now - known[0][0] > KEEP_SECONDS:
        known = [(now, tuple(read()))]
        _last[:] = known
    return known[0][1]


def forget() -> None:
    """Read anew at the next call (tests, and processes that changed it themselves)."""
    _last.clear()


def read() -> list[LiveRule]:
    """The enabled rules; those that do not compile are told of and left out."""
    found = []
    for row in RoutingRule.objects.filter(enabled=True).select_related("pool"):
        try:
            found.append(live(row))
        except RuleFault as fault:
            trouble(row.name, str(fault), row.condition)
    return found


def live(row: RoutingRule) -> LiveRule:
    """The rule of a row. Raises RuleFault."""
    return LiveRule(
        name=row.name,
        condition=compiled(row.condition),
        action=row.action,
        reason=row.reason,
        pool_tenant_id=row.pool.tenant_id if row.action == "pool" and row.pool else None,
        way=way_of(row),
    )


def way_of(row: RoutingRule) -> Choice:
    if row.action == RoutingAction.POOL:
        return Choice(pool_id=row.pool_id or 0, rule=row.name)
    if row.action == RoutingAction.SOURCE:
        return Choice(source_id=row.source_id or 0, rule=row.name)
    if row.action == RoutingAction.PRIORITY:
        return Choice(urgent=row.priority == RoutingPriority.TRANSACTIONAL, rule=row.name)
    return Choice(rule=row.name)


@lru_cache(maxsize=500)
def compiled(text: str) -> Condition:
    """The condition, compiled once a process. Raises RuleFault."""
    # Only who has rules pays for the language: a quarter of a second, 11 MB.
    from mta.policy.condition import compile_condition  # noqa: PLC0415

    return compile_condition(text)


_told: set[tuple[str, str, str]] = set()


def trouble(name: str, why: str, condition: str) -> None:
    """Log that a rule was skipped, and write it down, once a process for each wording."""
    known = (name, why, condition)
    if known in _told:
        return
    if len(_told) >= MOST_TOLD:
        _told.clear()
    _told.add(known)
    log.warning("routing rule %s is skipped: %s", name, why)
    write(
        lambda: decisions.record(
            "rule_skipped", actor="routing", reason=f"routing rule {name} is skipped: {why}",
            data={"rule": name, "condition": condition},
        )
    )  # fmt: skip


def problems() -> list[str]:
    """One sentence for each routing rule that cannot work, naming it and the fix; [] is well."""
    found = []
    catches_all = ""
    for row in RoutingRule.objects.filter(enabled=True).order_by("position", "name"):
        where = f"routing rule {row.name!r}"
        if catches_all:
            found.append(
                f"{where}: never asked, because {catches_all!r} before it holds for all mail; "
                "change its position, or disable it"
            )
        try:
            compiled(row.condition)
        except RuleFault as fault:
            found.append(f"{where}: {fault}")
        if " ".join(row.condition.split()) == "true":
            catches_all = catches_all or row.name
    return found
