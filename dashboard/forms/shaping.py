"""What is refused on the pages of shaping rules and automations: what their validators find."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet

from dashboard.forms.words import RowForm
from mta.delivery.shaping import (
    automation_from_row,
    from_row,
    shipped,
    shipped_automations,
    suffixes_of,
)
from mta.egress.models import AutomationRule, ShapingRule
from mta.policy import automation_check, shaping_check
from mta.policy.problem import Problem
from mta.policy.shaping import PERIODS, VALUES, limits_for, providers
from mta.policy.shaping import ShapingRule as Rule
from mta.policy.shaping_contradictions import hosts_it_speaks_about

#: Texts of the validator for shipped rules that need other words on a form.
SETS_NOTHING = "This rule sets nothing: give at least one limit."


class CheckedForm(RowForm):
    """A form whose row is judged beside all other rules that are in force."""

    def show(self, problems: Iterable[Problem]) -> None:
        """Put each problem at its field; those of the whole rule above the form."""
        for problem in problems:
            text = SETS_NOTHING if problem.field == "values" else problem.text
            field = "mx_suffixes" if problem.field == "mx" else problem.field
            if field in self.fields:
                self.add_error(field, text[0].upper() + text[1:] + ".")
            else:
                self.add_error(None, text)


class ShapingRuleForm(CheckedForm):
    class Meta:
        model = ShapingRule
        fields = "__all__"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.show_inherited()

    def show_inherited(self) -> None:
        """Where a field is empty, say what holds and by which rule."""
        mine = from_row(self.instance)
        hosts = hosts_it_speaks_about(mine, shipped())
        site = mine.match if mine.match_kind == "site" else ""
        rules = rules_beside(self.instance)
        found = limits_for(rules, site=site, mx_hosts=hosts, source=mine.source)
        for name in VALUES:
            value = getattr(found.limits, name)
            if name == "burst":  # a rule with a rate of its own inherits none
                value = 0 if mine.values.keys() & PERIODS.keys() else found.bursts[0].count
            if name in self.fields and name != "tls" and value:
                told = value if isinstance(value, str) else f"{value:g}"
                self.fields[name].widget.attrs["placeholder"] = f"{told} ({found.origin[name]})"

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        match = (values.get("match") or "").strip()
        # A provider is known by a word, a site by host names: both are in lower case.
        values["match"] = match.lower()
        values["mx_suffixes"] = (values.get("mx_suffixes") or "").lower()
        for name in (*PERIODS, "life_hours"):
            if values.get(name) == 0:
                self.add_error(name, "Give more than 0, or leave it empty to inherit.")
        if not self.errors:
            given = {
                name: value for name in VALUES if (value := values.get(name)) not in (None, "")
            }
            source = values.get("source")
            rule = Rule(
                str(self.instance.pk or "new"), values.get("match_kind") or "", values["match"],
                given, suffixes_of(values["mx_suffixes"]), source.name if source else "",
            )  # fmt: skip
            found = shaping_check.problems_of([*rules_beside(self.instance), rule])
            self.show(one for one in found if one.rule == rule.name)
        return values


def rules_beside(row: ShapingRule | None) -> list[Rule]:
    """The rules in force but for this one."""
    others: QuerySet[ShapingRule] = ShapingRule.objects.filter(enabled=True)
    if row is not None:
        others = others.exclude(pk=row.pk)
    return [*shipped(), *map(from_row, others.select_related("source"))]


class AutomationRuleForm(CheckedForm):
    class Meta:
        model = AutomationRule
        fields = "__all__"

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        values["provider"] = (values.get("provider") or "").strip().lower()
        if not self.errors:
            known = {name: value for name, value in values.items() if name != "id"}
            rule = automation_from_row(AutomationRule(**known))
            rows = AutomationRule.objects.filter(enabled=True).exclude(pk=self.instance.pk)
            others = [automation_from_row(row) for row in rows]
            names = {rule.name, *(other.name for other in others)}
            beneath = [one for one in shipped_automations() if one.name not in names]
            found = automation_check.problems_of(
                [*others, rule, *beneath], providers(rules_beside(None)), shipped=False
            )
            self.show(one for one in found if one.rule == rule.name)
        return values
