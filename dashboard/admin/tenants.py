"""Tenants, streams, sending domains and DKIM keys."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from dashboard import display
from dashboard.admin.base import ChoicesDropdownFilter, Row, SeenFilter
from dashboard.admin.inlines import RowInline
from dashboard.forms.tenants import DkimKeyForm, SendingDomainForm, StreamForm
from mta.mail import dkim
from mta.tenants.models import DkimKey, SendingDomain, Stream, Tenant


class StreamInline(RowInline):
    model = Stream
    form = StreamForm
    fields = ["name", "kind", "is_default", "pool", "life_hours", "retry_steps"]
    autocomplete_fields = ["pool"]
    show_change_link = True
    tab = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("tenant", "pool")


class SendingDomainInline(RowInline):
    model = SendingDomain
    form = SendingDomainForm
    fields = ["domain"]
    show_change_link = True
    tab = True


@admin.register(Tenant)
class TenantAdmin(Row):
    list_display = ["name", "status_label", "quota_per_hour", "quota_per_day", "weight", "created"]
    list_filter = [("status", ChoicesDropdownFilter)]
    search_fields = ["name", "domains__domain"]
    search_help_text = "Name or sending domain"
    inlines = [StreamInline, SendingDomainInline]
    fieldsets = [
        (None, {"fields": ["name", ("status", "status_reason")]}),
        (
            "Quotas",
            {
                "description": "Recipients per hour and day of the clock (UTC); empty: no limit.",
                "fields": [("quota_per_hour", "quota_per_day"), "quota_action"],
            },
        ),
        (
            "Fairness",
            {
                "description": "Where several tenants have mail for a busy site, each gets a share "
                "in proportion to its weight: of weight 2 twice that of weight 1. What one does "
                "not use the others have.",
                "fields": [("weight", "messages_per_second")],
            },
        ),
    ]
    status_label = display.label_column("status", "Status")
    created = display.instant_column("created_at", "Created")


@admin.register(Stream)
class StreamAdmin(Row):
    form = StreamForm
    list_display = ["name", "tenant", "kind", "is_default", "pool", "patience"]
    list_filter = [("tenant", SeenFilter), ("kind", ChoicesDropdownFilter)]
    list_select_related = ["tenant", "pool"]
    search_fields = ["name", "tenant__name"]
    search_help_text = "Stream or tenant"
    autocomplete_fields = ["tenant", "pool"]
    fieldsets = [
        (None, {"fields": [("tenant", "name"), ("kind", "is_default"), "pool"]}),
        (
            "Patience",
            {
                "description": "How long mail of this stream is tried, and how often.",
                "fields": ["retry_steps", "life_hours", "sends_dsn"],
            },
        ),
        (
            "Rate",
            {
                "description": "What the stream may send in all, to whomever; the excess waits. "
                "Empty is without limit.",
                "fields": [("messages_per_second", "messages_per_hour", "messages_per_day")],
            },
        ),
    ]

    @admin.display(description="Expires after", ordering="life_hours")
    def patience(self, row: Stream) -> str:
        return display.span(row.life_seconds)


class DkimKeyInline(RowInline):
    model = DkimKey
    fields = ["selector", "algorithm", "window", "active_from", "active_until"]
    readonly_fields = ["selector", "algorithm", "window"]
    show_change_link = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # made on its own page, which makes the key too

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("sending_domain")

    @admin.display(description="Signs")
    def window(self, row: DkimKey) -> SafeString:
        return window_label(row)


@admin.register(SendingDomain)
class SendingDomainAdmin(Row):
    form = SendingDomainForm
    list_display = ["domain", "tenant", "created"]
    list_filter = [("tenant", SeenFilter)]
    list_select_related = ["tenant"]
    search_fields = ["domain", "tenant__name"]
    search_help_text = "Domain or tenant"
    autocomplete_fields = ["tenant"]
    inlines = [DkimKeyInline]
    fieldsets = [
        (
            None,
            {
                "description": "The tenant may write this domain in From and in the reverse path. "
                "Internationalised names are stored in their ASCII form.",
                "fields": ["tenant", "domain"],
            },
        ),
    ]
    created = display.instant_column("created_at", "Created")


@admin.register(DkimKey)
class DkimKeyAdmin(Row):
    form = DkimKeyForm
    list_display = ["selector", "sending_domain", "algorithm", "window", "created"]
    list_filter = [("algorithm", ChoicesDropdownFilter)]
    list_select_related = ["sending_domain"]
    search_fields = ["selector", "sending_domain__domain"]
    search_help_text = "Selector or domain"
    autocomplete_fields = ["sending_domain"]
    readonly_fields = ["record_name", "record_value"]
    fieldsets = [
        (
            None,
            {
                "description": "The private key is made here, encrypted at rest and never shown.",
                "fields": ["sending_domain", ("selector", "algorithm")],
            },
        ),
        ("DNS record to publish", {"fields": ["record_name", "record_value"]}),
        (
            "Active window",
            {
                "description": "The key signs between these instants; empty is without limit. "
                "Publish the record before the window opens.",
                "fields": ["active_from", "active_until"],
            },
        ),
    ]
    created = display.instant_column("created_at", "Created")

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        parts = super().get_fieldsets(request, obj)
        return parts if obj else [part for part in parts if part[0] != "DNS record to publish"]

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """A published key does not change: make another one and close this one's window."""
        fixed = ["sending_domain", "selector", "algorithm"] if obj else []
        return [*self.readonly_fields, *fixed]

    def save_model(self, request: HttpRequest, obj: DkimKey, form: Any, change: bool) -> None:
        if not change:
            obj.private_key = dkim.generate(obj.algorithm)
            obj.dns_record = dkim.dns_record(obj.private_key)
        super().save_model(request, obj, form, change)

    @admin.display(description="Signs")
    def window(self, row: DkimKey) -> SafeString:
        return window_label(row)

    @admin.display(description="Name (TXT)")
    def record_name(self, row: DkimKey) -> SafeString:
        return format_html("<code class='mm-copy'>{}</code>", str(row))

    @admin.display(description="Value")
    def record_value(self, row: DkimKey) -> SafeString:
        return format_html("<code class='mm-copy'>{}</code>", row.dns_record)


def window_label(row: DkimKey) -> SafeString:
    """Whether the key signs now."""
    now = timezone.now()
    if row.active_from and row.active_from > now:
        return format_html("{} {}", display.label("later", "info"), display.ago(row.active_from))
    if row.active_until and row.active_until <= now:
        return display.label("closed", "hold")
    return display.label("active")
