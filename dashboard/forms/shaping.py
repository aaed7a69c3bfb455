"""What is refused on the page of a shaping rule."""

from __future__ import annotations

from typing import Any

from django import forms

from dashboard.forms.words import RowForm
from mta.egress.models import ShapingMatch, ShapingRule
from mta.policy import shaping as policy
from mta.policy.shaping import load_rules, providers
from mta.policy.shaping_check import validate

LIMITS = {
    "connections": 1,
    "messages_per_connection": 1,
    "connections_per_minute": 1,
    "burst": 1,
}
TIMEOUTS = [name for name in policy.VALUES if name.endswith("_timeout")]


class ShapingRuleForm(RowForm):
    class Meta:
        model = ShapingRule
        fields = "__all__"

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        kind: str = values.get("match_kind") or ""
        match = (values.get("match") or "").strip().lower()
        values["match"] = match
        if kind == ShapingMatch.DEFAULT and match:
            self.add_error("match", "The default rule matches everything: leave this empty.")
        if kind in {ShapingMatch.PROVIDER, ShapingMatch.SITE} and not match:
            self.add_error("match", f"Name the {kind} that this rule is for.")
        for name, low in LIMITS.items():
            if values.get(name) is not None and values[name] < low:
                self.add_error(name, f"Give at least {low}, or leave it empty to inherit.")
        for name in ("messages_per_second", *TIMEOUTS):
            if values.get(name) is not None and values[name] <= 0:
                self.add_error(name, "Give more than 0, or leave it empty to inherit.")
        if values.get("source") and kind != ShapingMatch.SITE:
            self.add_error("source", "Only a rule for a site can be for one source.")
        if not self.errors:
            self.check_policy(kind, match, values)
        return values

    def check_policy(self, kind: str, match: str, values: dict[str, Any]) -> None:
        """What the validator of the shipped rules says of this one beside them."""
        given = {name: values[name] for name in policy.VALUES if values.get(name)}
        if not given:
            raise forms.ValidationError("This rule sets nothing: give at least one limit.")
        shipped = load_rules()
        known = providers(shipped)
        if kind == ShapingMatch.PROVIDER and match not in known:
            names = ", ".join(sorted(known))
            self.add_error("match", f"There is no provider named {match}; known: {names}.")
        if kind == ShapingMatch.SITE and match.endswith("."):
            self.add_error("match", "Remove the dot at the end: it would never match.")
        rule = policy.ShapingRule("this rule", kind, match, given)
        for problem in validate([*shipped, rule]):
            if problem.startswith("rule 'this rule'") and not self.errors:
                self.add_error(None, problem)
