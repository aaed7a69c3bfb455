"""Whether the rules that came with Mailmill, and those from the admin, can do what they say."""

from __future__ import annotations

from dataclasses import dataclass

from mta.delivery.shaping import from_row
from mta.egress.models import ShapingRule as Row
from mta.policy import rules_check, shaping, shaping_check, warmup
from mta.policy.rules import BounceRule, RuleError
from mta.policy.rules import load_rules as load_bounce_rules
from mta.policy.shaping import ShapingError, ShapingRule
from mta.policy.warmup import WarmupError


@dataclass(frozen=True, slots=True)
class RulesChecked:
    """How many rules of each kind there are, and what is wrong with them."""

    counts: dict[str, int]
    problems: tuple[str, ...]


def check_rules() -> RulesChecked:
    """Prove bounce rules by their samples; look for shaping rules that match or set nothing."""
    problems: list[str] = []
    bounces: tuple[BounceRule, ...] = ()
    shipped: tuple[ShapingRule, ...] = ()
    templates = 0
    try:
        bounces = load_bounce_rules()
        problems += [f"bounces: {one}" for one in rules_check.validate(bounces)]
    except RuleError as error:
        problems.append(f"bounces: {error}")
    try:
        shipped = shaping.load_rules()
    except ShapingError as error:
        problems.append(f"shaping: {error}")
    own = tuple(from_row(row) for row in Row.objects.filter(enabled=True).select_related("source"))
    problems += [f"shaping: {one}" for one in shaping_check.validate((*shipped, *own))]
    problems += strangers(bounces, shipped)
    try:
        templates = len(warmup.load_templates())
    except WarmupError as error:
        problems.append(f"warmup: {error}")
    counts = {
        "bounces": len(bounces),
        "shaping": len(shipped),
        "admin": len(own),
        "warmup": templates,
    }
    return RulesChecked(counts, tuple(problems))


def strangers(bounces: tuple[BounceRule, ...], shipped: tuple[ShapingRule, ...]) -> list[str]:
    """Bounce rules for a provider that no MX host leads to: they would never be used."""
    known = shaping.providers(shipped)
    return [
        f"bounces: rule {rule.name!r}: provider {name!r} has no MX suffixes in the shaping rules; "
        "correct the name or add the provider"
        for rule in bounces
        for name in rule.providers
        if name not in known
    ]
