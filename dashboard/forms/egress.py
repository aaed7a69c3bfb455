"""What is refused on the pages of pools and sources."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from django import forms
from unfold.forms import PaginationInlineFormSet
from unfold.widgets import UnfoldAdminPasswordWidget

from dashboard.forms.words import RowForm, domain_of
from mta.delivery.connect import IMPLICIT_TLS_PORT
from mta.egress.models import Pool, Source, SourceKind, TlsMode
from mta.tenants.models import Tenant


class SourceForm(RowForm):
    new_password = forms.CharField(
        max_length=500, required=False, strip=False, label="Password",
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text="Stored encrypted and never shown; empty keeps the present one.",
    )  # fmt: skip

    class Meta:
        model = Source
        fields = "__all__"

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if values.get("ehlo_name"):
            values["ehlo_name"] = domain_of(values["ehlo_name"], "ehlo_name")
        if values.get("warmup_schedule") and not values.get("warmup_started_on"):
            self.add_error("warmup_started_on", "Give the first day of the schedule.")
        if values.get("kind") == SourceKind.SMART_HOST:
            self.check_smart_host(values)
        else:
            values |= {"host": "", "port": None, "username": ""}
        return values

    def check_smart_host(self, values: dict[str, Any]) -> None:
        """Where it listens, and a log-in that can work."""
        host = (values.get("host") or "").strip()
        if not host:
            self.add_error("host", "Give the name or IP address of the smart host.")
        elif not is_address(host):
            values["host"] = domain_of(host, "host")
        tls, port = values.get("tls"), values.get("port")
        encrypts = tls in {TlsMode.REQUIRED, TlsMode.VERIFIED}
        if values.get("username"):
            if not encrypts:
                self.add_error("tls", "A password is never sent in the clear: choose required.")
            if not (values.get("new_password") or self.instance.password):
                self.add_error("new_password", "Give the password of this user name.")
        elif values.get("new_password"):
            self.add_error("username", "Give the user name that the password belongs to.")
        if port == IMPLICIT_TLS_PORT and not encrypts:
            self.add_error("tls", "Port 465 speaks TLS from the first byte: choose required.")

    def save(self, commit: bool = True) -> Any:
        """The password is written only when a new one was given; without a user name it goes."""
        if not self.cleaned_data.get("username"):
            self.instance.password = None
        elif self.cleaned_data.get("new_password"):
            self.instance.password = self.cleaned_data["new_password"].encode()
        return super().save(commit)


def is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


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
