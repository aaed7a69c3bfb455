"""What is refused on the page of suppressed addresses."""

from __future__ import annotations

from typing import Any

from django import forms

from dashboard.forms.words import RowForm
from mta.mail.address import AddressError, parse_address
from mta.suppression.models import Suppression


class SuppressionForm(RowForm):
    class Meta:
        model = Suppression
        fields = ["address", "tenant", "stream", "reason", "origin", "expires_at"]

    def clean_address(self) -> str:
        """The normal form: lower case, domain as A-label."""
        try:
            return str(parse_address(self.cleaned_data["address"].strip())).lower()
        except AddressError as error:
            raise forms.ValidationError(f"Not a mail address: {error.reason}.") from None

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        tenant, stream = values.get("tenant"), values.get("stream")
        if stream and not tenant:
            self.add_error("tenant", f"Choose {stream.tenant.name}, whose stream this is.")
        elif stream and tenant and stream.tenant_id != tenant.pk:
            self.add_error("stream", f"This stream belongs to another tenant than {tenant.name}.")
        return values
