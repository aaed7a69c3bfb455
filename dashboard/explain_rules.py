"""Whether the rules that came with Mailmill, and those from the admin, can do what they say."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from mta.delivery import routing_rules
from mta.delivery.shaping import automation_from_row, from_row
from mta.egress.models import AutomationRule as AutomationRow
from mta.egress.models import RoutingRule
from mta.egress.models import ShapingRule as Row
from mta.policy import (
    automation_check,
    automation_rules,
    rules_check,
    shaping,
    shaping_check,
    warmup,
)
from mta.policy.automation_rules import AutomationError
from mta.policy.rules import BounceRule, RuleError
from mta.policy.rules import load_rules as load_bounce_rules
from mta.policy.shaping import ShapingError, ShapingRule
from mta.policy.warmup import WarmupError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RulesChecked:
    """How many rules of each kind there are, and what is wrong with them."""

    counts: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def add(self, kind: str, number: int, problems: Sequence[object]) -> None:
        self.counts[kind] = number
        self.problems.extend(f"{kind}: {problem}" for problem in problems)

    def load(self, kind: str, read: Callable[[], T], faults: type[Exception]) -> T | None:
        """What `read` gives; None when it raises a fault, which is a problem then."""
        try:
            return read()
        except faults as fault:
            self.problems.append(f"{kind}: {fault}")
            return None


def check_rules() -> RulesChecked:
    """Prove all rules: those of the files, and the enabled ones of the admin beside them."""
    found = RulesChecked()
    bounces = found.load("bounces", load_bounce_rules, RuleError) or ()
    found.add("bounces", len(bounces), rules_check.validate(bounces))
    shaped = check_shaping(found)
    known = shaping.providers(shaped)
    found.problems.extend(strangers(bounces, known))
    check_automations(found, known)
    templates = found.load("warmup", warmup.load_templates, WarmupError) or {}
    found.add("warmup", len(templates), ())
    found.add("routing", RoutingRule.objects.filter(enabled=True).count(), routing_rules.problems())
    return found


def check_shaping(found: RulesChecked) -> list[ShapingRule]:
    """The shaping rules in force, the admin's after the shipped ones."""
    shipped = found.load("shaping", shaping.load_rules, ShapingError) or ()
    own = [from_row(row) for row in Row.objects.filter(enabled=True).select_related("source")]
    found.add("shaping", len(shipped), shaping_check.validate([*shipped, *own]))
    found.counts["shaping of the admin"] = len(own)
    return [*shipped, *own]


def check_automations(found: RulesChecked, known: Collection[str]) -> None:
    """The shipped ones by their samples; the admin's, which have none, beside those they leave."""
    read = automation_rules.load_automations
    shipped = found.load("automations", read, AutomationError) or ()
    found.add("automations", len(shipped), automation_check.validate(shipped, known))
    rows = AutomationRow.objects.all()
    own = [automation_from_row(row) for row in rows if row.enabled]
    names = {row.name for row in rows}
    beneath = [rule for rule in shipped if rule.name not in names]
    problems = automation_check.problems_of([*own, *beneath], known, shipped=False)
    mine = {rule.name for rule in own}
    found.add("automations of the admin", len(own), [one for one in problems if one.rule in mine])


def strangers(bounces: Sequence[BounceRule], known: Collection[str]) -> list[str]:
    """Bounce rules for a provider that no MX host leads to: they would never be used."""
    return [
        f"bounces: rule {rule.name!r}: provider {name!r} has no MX suffixes in the shaping rules; "
        "correct the name or add the provider"
        for rule in bounces
        for name in rule.providers
        if name not in known
    ]
