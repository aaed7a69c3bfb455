"""Addresses that are not written to."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from dashboard import display, roles
from dashboard.admin.base import (
    CappedChangeList,
    CappedPaginator,
    ChoicesDropdownFilter,
    Row,
    SeenFilter,
)
from dashboard.finding import starting_with
from dashboard.forms.suppression import SuppressionForm
from mta.suppression.models import Suppression


@admin.register(Suppression)
class SuppressionAdmin(Row):
    form = SuppressionForm
    paginator = CappedPaginator  # lists of millions are normal
    show_full_result_count = False
    list_display = ["address", "owner", "of_stream", "reason_label", "origin", "created", "ends"]
    list_filter = [("tenant", SeenFilter), ("reason", ChoicesDropdownFilter)]
    list_select_related = ["tenant", "stream__tenant"]
    search_fields = ["address"]
    search_help_text = "The beginning of an address"
    sortable_by = ["address"]
    autocomplete_fields = ["tenant", "stream"]
    reason_label = display.label_column("reason", "Reason")
    created = display.instant_column("created_at", "Since")
    ends = display.instant_column("expires_at", "Ends")
    fieldsets = [
        (None, {"fields": ["address"]}),
        (
            "Reach",
            {
                "description": "Without a tenant it holds for every tenant, without a stream for "
                "all streams of the tenant.",
                "fields": [("tenant", "stream")],
            },
        ),
        ("Why", {"fields": [("reason", "origin"), "expires_at"]}),
    ]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[CappedChangeList]:
        return CappedChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        start = search_term.strip().lower()
        if not start:
            return queryset, False
        return starting_with(queryset, "address", start), False

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kw: Any
    ) -> Any:
        form = super().get_form(request, obj, change, **kw)
        if not roles.is_operator(request.user) and "tenant" in form.base_fields:
            form.base_fields["tenant"].required = True  # only operators suppress for everybody
        return form

    @admin.display(description="Tenant")
    def owner(self, row: Suppression) -> str | SafeString:
        return row.tenant.name if row.tenant else display.label("every tenant", "plain")

    @admin.display(description="Stream")
    def of_stream(self, row: Suppression) -> str:
        return row.stream.name if row.stream else "all"
