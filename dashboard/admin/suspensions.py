"""What people have suspended: counted before it is stored, and resumed by deleting the row."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from dashboard import display
from dashboard.admin.base import ChoicesDropdownFilter, Row
from dashboard.confirming import CONFIRMED, asked
from dashboard.forms.suspensions import SuspensionForm
from mta.control import suspensions
from mta.control.names import Named
from mta.control.preview import preview
from mta.control.reach import reach
from mta.egress.models import Suspension
from mta.policy.lifecycle import WAITING


@admin.register(Suspension)
class SuspensionAdmin(Row):
    form = SuspensionForm
    list_display = ["key", "scope_label", "reason", "created_by", "created", "ends"]
    list_filter = [("scope", ChoicesDropdownFilter)]
    search_fields = ["key", "reason", "created_by"]
    search_help_text = "Tenant, campaign, site, provider, source, reason or person"
    scope_label = display.label_column("scope", "What")
    created = display.instant_column("created_at", "Since")
    ends = display.instant_column("ends_at", "Ends")
    fieldsets = [
        (
            None,
            {
                "description": "Mail of the tenant or campaign (TENANT/CAMPAIGN), to the site or "
                "provider, or from the source waits until somebody deletes this row or its end "
                "comes. Nothing is lost.",
                "fields": [("scope", "key"), "reason", "ends_at"],
            },
        ),
    ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """What is suspended stays: resume it, and suspend something else."""
        return ["scope", "key"] if obj else []

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The form, then the count, then the row."""
        if request.method == "POST" and CONFIRMED not in request.POST:
            form = self.get_form(request)(request.POST)
            if form.is_valid():
                return self.confirmation(request, form.cleaned_data)
        found: HttpResponse = super().add_view(request, form_url, extra_context)
        return found

    def confirmation(self, request: HttpRequest, values: dict[str, Any]) -> TemplateResponse:
        named = Named(values["scope"], values["key"])
        ends = values["ends_at"]
        return asked(
            request,
            title=f"Suspend {named.scope} {named.key}?",
            seen=preview(reach(named), WAITING),
            facts=[
                ("Reason", values["reason"] or "none given"),
                ("Ends", f"{ends:%Y-%m-%d %H:%M} UTC" if ends else "when somebody resumes it"),
            ],
            verb="Suspend",
        )

    def save_model(self, request: HttpRequest, obj: Suspension, form: Any, change: bool) -> None:
        """The row is written with its decision; of a campaign the mail is held."""
        made = suspensions.impose(
            Named(obj.scope, obj.key),
            ends_at=obj.ends_at,
            reason=obj.reason,
            by=request.user.get_username(),
        )
        obj.pk = made.row.pk
        if made.held:
            messages.info(request, f"{made.held:,} recipients are held.")

    def delete_model(self, request: HttpRequest, obj: Suspension) -> None:
        """Deleting is resuming: what was put off comes back at once."""
        suspensions.lift(obj, by=request.user.get_username())

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Suspension]) -> None:
        for row in queryset:
            self.delete_model(request, row)
