"""What is refused on the pages of tenants, people, credentials, domains and streams."""

from __future__ import annotations

from typing import Any

from django import forms

from dashboard.forms.words import RowForm, WordsField, domain_of
from mta.egress.models import Pool
from mta.policy.retry import parse_schedule
from mta.tenants.credentials import ALL_SCOPES, OPERATE
from mta.tenants.models import DkimKey, Role, SendingDomain, Stream, Tenant, User


class CredentialForm(RowForm):
    """An API key or an SMTP credential."""

    scopes = WordsField(
        ALL_SCOPES,
        initial=list(ALL_SCOPES),
        help_text="send: hand in mail. read: look at messages and events. manage: change settings.",
    )


class OperatorCredentialForm(CredentialForm):
    """An API key as operators make it: it may reach beyond its tenant."""

    scopes = WordsField(
        (*ALL_SCOPES, OPERATE),
        initial=list(ALL_SCOPES),
        help_text="send: hand in mail. read: look at messages and events. manage: change settings, "
        "cancel and move own mail. operate: suspend and drain, whoever's mail it is.",
    )


class SendingDomainForm(RowForm):
    class Meta:
        model = SendingDomain
        fields = ["tenant", "domain"]

    def clean(self) -> dict[str, Any]:
        """The domain as A-label."""
        values = super().clean() or {}
        if values.get("domain"):
            values["domain"] = domain_of(values["domain"], "domain")
        return values


class DkimKeyForm(RowForm):
    class Meta:
        model = DkimKey
        fields = ["sending_domain", "selector", "algorithm", "active_from", "active_until"]

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        start, end = values.get("active_from"), values.get("active_until")
        if start and end and end <= start:
            self.add_error("active_until", "Give an end after the start, or leave it empty.")
        return values


class StreamForm(RowForm):
    class Meta:
        model = Stream
        fields = "__all__"

    def clean_retry_steps(self) -> str:
        text: str = self.cleaned_data["retry_steps"]
        try:
            parse_schedule(text) if text else ()
        except ValueError as error:
            raise forms.ValidationError(
                f"{error} Give waits separated by commas, such as 1m,5m,15m,1h."
            ) from None
        return text

    def clean_life_hours(self) -> int | None:
        hours: int | None = self.cleaned_data["life_hours"]
        if hours == 0:
            raise forms.ValidationError("Give at least 1 hour, or leave it empty.")
        return hours

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        tenant: Tenant | None = values.get("tenant") or getattr(self.instance, "tenant", None)
        pool: Pool | None = values.get("pool")
        if tenant and pool and pool.tenant_id not in {None, tenant.pk}:
            self.add_error("pool", f"This pool belongs to another tenant than {tenant.name}.")
        if tenant and values.get("is_default"):
            others = Stream.objects.filter(tenant=tenant, is_default=True)
            other = others.exclude(pk=self.instance.pk).first()
            if other:
                self.add_error(
                    "is_default",
                    f"{tenant.name} has a default stream already: {other.name}. "
                    "Take the mark from it first.",
                )
        return values


class PersonForm(RowForm):
    """Role and tenants have to fit one another."""

    class Meta:
        model = User
        fields = "__all__"

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if values.get("role") == Role.MARKETER and "tenants" in values and not values["tenants"]:
            self.add_error("tenants", "Choose the tenants whose mail this marketer looks after.")
        return values
