"""The order that a person gives over waiting mail: which mail, and what to do with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms

from dashboard import roles
from mta.control import campaigns, changes, moving, selection
from mta.control.changes import TAKES, Done
from mta.control.refusal import Refused
from mta.control.selection import KEYS, Selection
from mta.egress.models import Pool
from mta.policy.lifecycle import State
from mta.tenants.models import Tenant

#: Order -> (what it is called, the verb of its button, whose states it takes).
ORDERS: Mapping[str, tuple[str, str, str]] = {
    "hold": ("Hold: keep it back until somebody releases it", "Hold", "hold"),
    "release": ("Release what is held", "Release", "release"),
    "retry": ("Retry: make it due now", "Retry", "retry"),
    "move": ("Move it to another pool", "Move", "move"),
    "bounce": ("End it for good", "End", "bounce"),
    "cancel": ("Cancel a campaign: end it, also what is in flight", "Cancel", "bounce"),
}
STATES = [State.SCHEDULED, State.DEFERRED, State.HELD]


class ControlForm(forms.Form):
    """Made for one person: marketers name one of their tenants."""

    order = forms.ChoiceField(
        label="Order", choices=[(name, words[0]) for name, words in ORDERS.items()]
    )
    pool = forms.ModelChoiceField(
        Pool.objects.none(), required=False, label="To pool", empty_label="only when it moves"
    )
    tenant = forms.ChoiceField(required=False)
    stream = forms.CharField(required=False, max_length=63)
    campaign = forms.CharField(required=False, max_length=128)
    domain = forms.CharField(required=False, max_length=253)
    site = forms.CharField(required=False, max_length=253, help_text="Rollup of its MX hosts.")
    address = forms.CharField(required=False, max_length=320)
    state = forms.ChoiceField(
        required=False, choices=[("", "any"), *((state.value, state.value) for state in STATES)]
    )
    older_than = forms.CharField(required=False, max_length=20, help_text="Such as 2h.")
    reason = forms.CharField(required=False, max_length=200, help_text="Kept with the decision.")
    dsn = forms.BooleanField(required=False, label="Tell the senders of what is ended")

    def __init__(self, user: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.chosen: Selection | None = None
        names = roles.seen(user, Tenant.objects.order_by("name")).values_list("name", flat=True)
        several = [("", "all")] if roles.is_operator(user) else []
        tenant: Any = self.fields["tenant"]
        tenant.choices = [*several, *((name, name) for name in names)]
        tenant.required = not roles.is_operator(user)
        pool: Any = self.fields["pool"]
        pool.queryset = roles.seen(user, Pool.objects.order_by("name"))
        for field in self.fields.values():
            if not isinstance(field, forms.BooleanField):
                field.widget.attrs["class"] = "mm-input"

    def clean(self) -> dict[str, Any]:
        """Finds out which mail is meant; `chosen` holds it afterwards."""
        values = super().clean() or {}
        order = values.get("order")
        if order is None or self.errors:
            return values
        try:
            self.chosen = self.selection_of(order, values)
            if order == "move":
                if values.get("pool") is None:
                    raise Refused("pool", "choose the pool that the mail shall go to.")
                moving.check(self.chosen, values["pool"], "pool")
        except Refused as refused:
            field = refused.argument.lower()
            self.add_error(field if field in self.fields else None, refused.reason)
        return values

    def selection_of(self, order: str, values: Mapping[str, Any]) -> Selection:
        if order == "cancel":
            return campaigns.named(values["tenant"], values["campaign"])
        words = [f"{key}={values[key].strip()}" for key in KEYS if values[key].strip()]
        return selection.read(words, TAKES[ORDERS[order][2]])

    def carry_out(self, by: str) -> Done:
        """Do it; the form is valid."""
        values, chosen = self.cleaned_data, self.chosen
        if chosen is None:
            raise ValueError("the form was not found valid")
        order, reason = values["order"], values["reason"]
        if order == "move":
            return moving.move(chosen, values["pool"], by=by, reason=reason)
        if order == "cancel":
            return campaigns.cancel(chosen, by=by, reason=reason, dsn=values["dsn"])
        if order == "bounce":
            return changes.bounce(chosen, by=by, reason=reason, dsn=values["dsn"])
        plain = {"hold": changes.hold, "release": changes.release, "retry": changes.retry}
        return plain[order](chosen, by=by, reason=reason)
