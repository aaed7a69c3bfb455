"""What is refused on the pages of routing rules."""

from __future__ import annotations

from typing import Any

from django import forms
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from dashboard.forms.words import RowForm
from mta.delivery.routing_rules import compiled
from mta.egress.models import RoutingAction, RoutingRule
from mta.mail.address import Address, AddressError, parse_address
from mta.policy.routing import RuleFault
from mta.tenants.models import Stream

#: Which field an action needs, and what to say when it is empty.
NEEDS = {
    RoutingAction.POOL: ("pool", "Choose the pool that the mail goes through."),
    RoutingAction.SOURCE: ("source", "Choose the source that the mail leaves from."),
    RoutingAction.PRIORITY: ("priority", "Choose the priority that the mail gets."),
    RoutingAction.REJECT: ("reason", "Say why: senders read it in the bounce."),
}


class RoutingRuleForm(RowForm):
    class Meta:
        model = RoutingRule
        fields = "__all__"
        widgets = {"condition": UnfoldAdminTextareaWidget(attrs={"rows": 3})}

    def clean_condition(self) -> str:
        """The condition, compiled once to see whether it can be."""
        text: str = self.cleaned_data["condition"]
        try:
            return compiled(text).text
        except RuleFault as fault:
            raise forms.ValidationError(str(fault)) from None

    def clean_reason(self) -> str:
        reason = " ".join(self.cleaned_data["reason"].split())
        if not reason.isascii():
            raise forms.ValidationError("Use ASCII only: it becomes a reply of SMTP.")
        return reason

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        action = values.get("action")
        if action in NEEDS:
            field, advice = NEEDS[action]
            if not values.get(field) and field not in self.errors:
                self.add_error(field, advice)
        for other, (field, _) in NEEDS.items():
            if other != action and field != "reason":
                values[field] = "" if field == "priority" else None
        return values


class TryForm(forms.Form):
    """Mail that somebody asks the rules about."""

    stream = forms.ModelChoiceField(
        Stream.objects.select_related("tenant"), widget=UnfoldAdminSelectWidget(),
        label="Tenant and stream",
    )  # fmt: skip
    to = forms.CharField(
        max_length=320, label="To", widget=UnfoldAdminTextInputWidget(),
        help_text="An address; its domain is looked up.",
    )  # fmt: skip
    campaign = forms.CharField(max_length=128, required=False, widget=UnfoldAdminTextInputWidget())
    tags = forms.CharField(
        max_length=500, required=False, widget=UnfoldAdminTextInputWidget(),
        help_text="Between commas.",
    )  # fmt: skip
    size = forms.IntegerField(
        min_value=0, max_value=2**31, required=False, widget=UnfoldAdminIntegerFieldWidget(),
        help_text="Bytes.",
    )  # fmt: skip

    def clean_to(self) -> Address:
        try:
            return parse_address(self.cleaned_data["to"].strip())
        except AddressError as error:
            raise forms.ValidationError(f"Not an address: {error.reason}") from None
