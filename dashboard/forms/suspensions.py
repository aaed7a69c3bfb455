"""What is refused on the page of suspensions."""

from __future__ import annotations

from typing import Any

from dashboard.forms.words import RowForm
from mta.control import names
from mta.control.refusal import Refused
from mta.egress.models import Suspension


class SuspensionForm(RowForm):
    class Meta:
        model = Suspension
        fields = ["scope", "key", "reason", "ends_at"]

    def clean(self) -> dict[str, Any]:
        """The key as delivery knows it."""
        values = super().clean() or {}
        key, scope = (values.get("key") or "").strip(), values.get("scope")
        if key and scope:
            try:
                values["key"] = names.find(key, scope, "key").key
            except Refused as refused:
                self.add_error("key", refused.reason)
        return values
