"""What is refused on the pages of pools, sources, warmup, shaping and suspensions."""

from __future__ import annotations

from typing import Any

from django import forms
from unfold.forms import PaginationInlineFormSet

from dashboard.forms.words import RowForm, domain_of
from mta.egress.models import (
    Pool,
    ShapingMatch,
    ShapingRule,
    Source,
    Suspension,
    SuspensionScope,
)
from mta.mail.address import AddressError, normalise_domain
from mta.policy import shaping as policy
from mta.policy.shaping import load_rules, providers
from mta.tenants.models import Tenant

LIMITS = {
    "connections": 1,
    "messages_per_connection": 1,
    "connections_per_minute": 1,
    "burst": 1,
}
TIMEOUTS = [name for name in policy.VALUES if name.endswith("_timeout")]


class SourceForm(RowForm):
    class Meta:
        model = Source
        fields = "__all__"

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if values.get("ehlo_name"):
            values["ehlo_name"] = domain_of(values["ehlo_name"], "ehlo_name")
        if values.get("warmup_schedule") and not values.get("warmup_started_on"):
            self.add_error("warmup_started_on", "Give the first day of the schedule.")
        return values


class PoolForm(RowForm):
    class Meta:
        model = Pool
        fields = ["name", "tenant", "overflow"]

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        tenant, overflow = values.get("tenant"), values.get("overflow")
        if overflow:
            problem = overflow_problem(self.instance, tenant, overflow)
            if problem:
                self.add_error("overflow", problem)
        if tenant and self.instance.pk:
            other = self.instance.streams.exclude(tenant=tenant).select_related("tenant").first()
            if other:
                self.add_error("tenant", f"The stream {other} of another tenant uses this pool.")
        return values


def overflow_problem(pool: Pool, tenant: Tenant | None, overflow: Pool) -> str:
    """Why `pool` (of `tenant`; None: shared) cannot overflow into `overflow`; "" when it can."""
    if overflow.tenant_id is not None and overflow.tenant_id != getattr(tenant, "pk", None):
        return f"{overflow.name} belongs to another tenant."
    seen: set[int] = set()
    step: Pool | None = overflow
    while step is not None and step.pk not in seen:
        if pool.pk and step.pk == pool.pk:
            return f"{overflow.name} leads back to this pool: mail would go round in circles."
        seen.add(step.pk)
        step = step.overflow
    return ""


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
        for problem in policy.validate([*shipped, rule]):
            if problem.startswith("rule 'this rule'") and not self.errors:
                self.add_error(None, problem)


class SuspensionForm(RowForm):
    class Meta:
        model = Suspension
        fields = ["scope", "key", "reason", "ends_at"]

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        key = (values.get("key") or "").strip().lower()
        scope = values.get("scope")
        if not key or not scope:
            return values
        values["key"] = key
        if scope == SuspensionScope.TENANT and not Tenant.objects.filter(name=key).exists():
            self.add_error("key", f"There is no tenant named {key}.")
        elif scope == SuspensionScope.SOURCE and not Source.objects.filter(name=key).exists():
            self.add_error("key", f"There is no source named {key}.")
        elif scope == SuspensionScope.SITE and "(" not in key:  # a rollup is no domain name
            try:
                values["key"] = normalise_domain(key)
            except AddressError as error:
                self.add_error("key", f"Neither a domain nor a site: {error.reason}")
        return values


class StageFormSet(PaginationInlineFormSet):  # type: ignore[misc]  # unfold has no types
    """The days of a warmup schedule: 1, 2, 3, ... without a gap."""

    def clean(self) -> None:
        super().clean()
        days = sorted(
            form.cleaned_data["day"]
            for form in self.forms
            if form.cleaned_data.get("day") and not form.cleaned_data.get("DELETE")
        )
        gap = next((want for want, day in enumerate(days, 1) if day != want), None)
        if gap is not None:
            raise forms.ValidationError(
                f"Day {gap} is missing or given twice: number the days 1, 2, 3 without a gap."
            )


class MemberFormSet(PaginationInlineFormSet):  # type: ignore[misc]  # unfold has no types
    """The sources of a pool, each once, with a weight of at least 1."""

    def clean(self) -> None:
        super().clean()
        for form in self.forms:
            if form.cleaned_data.get("weight") == 0:
                form.add_error("weight", "Give at least 1; remove the source to take it out.")
