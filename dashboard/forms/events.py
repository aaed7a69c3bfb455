"""What is refused on the page of webhook endpoints."""

from __future__ import annotations

from dashboard.forms.words import RowForm, WordsField
from mta.events.models import Kind, WebhookEndpoint


class WebhookForm(RowForm):
    kinds = WordsField(
        Kind.values, required=False, help_text="None chosen: events of every kind are sent."
    )

    class Meta:
        model = WebhookEndpoint
        fields = ["tenant", "kinds", "enabled"]  # the admin adds the address
