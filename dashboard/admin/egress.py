"""Pools and sources."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from dashboard import display, roles
from dashboard.admin.base import ChoicesDropdownFilter, Row, SeenFilter
from dashboard.admin.draining import Drains
from dashboard.admin.inlines import RowInline
from dashboard.forms.egress import (
    MemberFormSet,
    PoolForm,
    SourceForm,
)
from mta.egress.models import (
    Pool,
    PoolMember,
    Source,
    SourceKind,
)


class MemberInline(RowInline):
    model = PoolMember
    formset = MemberFormSet
    fk_name = "pool"
    fields = ["source", "weight"]
    autocomplete_fields = ["source"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("source")


@admin.register(Pool)
class PoolAdmin(Row):
    form = PoolForm
    list_display = ["name", "owner", "sources_count", "streams_count", "overflow"]
    list_filter = [("tenant", SeenFilter)]
    list_select_related = ["tenant", "overflow"]
    search_fields = ["name", "tenant__name", "members__source__name"]
    search_help_text = "Pool, tenant or source"
    autocomplete_fields = ["tenant", "overflow"]
    inlines = [MemberInline]
    fieldsets = [
        (
            None,
            {
                "description": "A stream sends through the sources of its pool, in proportion to "
                "their weights.",
                "fields": ["name", "tenant", "overflow"],
            },
        ),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        tenants = roles.reach(request.user)
        # How many streams of others use a shared pool is nobody else's business.
        mine = Q() if tenants is None else Q(streams__tenant_id__in=tenants)
        counted = {
            "n_sources": Count("members", distinct=True),
            "n_streams": Count("streams", distinct=True, filter=mine),
        }
        rows: QuerySet[Any] = super().get_queryset(request).annotate(**counted)
        return rows

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kw: Any
    ) -> Any:
        form = super().get_form(request, obj, change, **kw)
        if not roles.is_operator(request.user) and "tenant" in form.base_fields:
            form.base_fields["tenant"].required = True  # only operators make shared pools
        return form

    @admin.display(description="Tenant", ordering="tenant__name")
    def owner(self, row: Pool) -> str | SafeString:
        return row.tenant.name if row.tenant else display.label("shared", "plain")

    @admin.display(description="Sources", ordering="n_sources")
    def sources_count(self, row: Any) -> int | SafeString:
        return row.n_sources or display.label("none: mail waits", "warn")

    @admin.display(description="Streams", ordering="n_streams")
    def streams_count(self, row: Any) -> int:
        return int(row.n_streams)


class MembershipInline(RowInline):
    model = PoolMember
    fk_name = "source"
    verbose_name_plural = "in pools"
    fields = ["pool", "weight"]
    autocomplete_fields = ["pool"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("pool", "source")


@admin.register(Source)
class SourceAdmin(Drains, Row):
    form = SourceForm
    actions = ["drain", "undrain"]
    list_display = ["name", "leaves", "ehlo", "status_label", "warmup", "pools_count"]
    list_filter = [
        ("kind", ChoicesDropdownFilter), ("status", ChoicesDropdownFilter),
        ("warmup_schedule", SeenFilter),
    ]  # fmt: skip
    list_select_related = ["warmup_schedule"]
    search_fields = ["name", "address", "ehlo_name", "host"]
    search_help_text = "Name, IP address, EHLO name or smart host"
    autocomplete_fields = ["warmup_schedule"]
    inlines = [MembershipInline]
    status_label = display.label_column("status", "Status")
    fieldsets = [
        (None, {"fields": ["name", ("kind", "status")]}),
        (
            "Smart host",
            {
                "description": "For the kind smart host only: where it listens, and how we log in.",
                "fields": [("host", "port"), "tls", ("username", "new_password")],
            },
        ),
        (
            "Identity",
            {
                "description": "The address must be configured on this host; its reverse name "
                "(PTR) should be the EHLO name. Empty leaves the choice to the system.",
                "fields": [("address", "ehlo_name")],
            },
        ),
        (
            "Limits",
            {"fields": ["messages_per_second", ("messages_per_hour", "messages_per_day")]},
        ),
        (
            "Warmup",
            {
                "description": "While the schedule lasts, the source sends at most the stage's "
                "messages per day to each provider.",
                "fields": [("warmup_schedule", "warmup_started_on")],
            },
        ),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        counted = {
            "n_pools": Count("pools", distinct=True),
        }
        rows: QuerySet[Any] = super().get_queryset(request).annotate(**counted)
        return rows

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """How we log in at a smart host is for operators."""
        found = super().get_fieldsets(request, obj)
        if roles.is_operator(request.user):
            return found
        return [one for one in found if one[0] != "Smart host"]

    @admin.display(description="Leaves from", ordering="address")
    def leaves(self, row: Source) -> str | SafeString:
        if row.kind == SourceKind.SMART_HOST:
            return format_html("{} {}", display.label("smart host", "info"), row.host)
        return row.address or display.DASH

    @admin.display(description="EHLO name", ordering="ehlo_name")
    def ehlo(self, row: Source) -> str | SafeString:
        return row.ehlo_name or display.DASH

    @admin.display(description="Warmup")
    def warmup(self, row: Source) -> SafeString:
        if row.warmup_schedule is None or row.warmup_started_on is None:
            return display.label("warm")
        if row.warmup_started_on > timezone.now().date():
            return format_html("{} on {}", display.label("starts", "warn"), row.warmup_started_on)
        return format_html(
            '{} <a class="mm-link" href="{}?q={}">{}</a>',
            display.label("warming up"),
            reverse("dashboard:warmup"),
            row.name,
            row.warmup_schedule.name,
        )

    @admin.display(description="Pools", ordering="n_pools")
    def pools_count(self, row: Any) -> int:
        return int(row.n_pools)
