"""What is refused on the pages of pools and sources."""

from __future__ import annotations

from typing import Any

from unfold.forms import PaginationInlineFormSet

from dashboard.forms.words import RowForm, domain_of
from mta.egress.models import (
    Pool,
    Source,
)
from mta.tenants.models import Tenant


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


class MemberFormSet(PaginationInlineFormSet):  # type: ignore[misc]  # unfold has no types
    """The sources of a pool, each once, with a weight of at least 1."""

    def clean(self) -> None:
        super().clean()
        for form in self.forms:
            if form.cleaned_data.get("weight") == 0:
                form.add_error("weight", "Give at least 1; remove the source to take it out.")
