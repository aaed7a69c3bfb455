"""Events, decisions, and the endpoints that want to hear of events."""

from __future__ import annotations

import base64
import secrets
from datetime import timedelta
from typing import Any, ClassVar

import orjson
from django.contrib import admin
from django.contrib.admin.filters import AllValuesFieldListFilter
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString

from dashboard import display
from dashboard.admin.base import ChoicesDropdownFilter, HotAdmin, Row, SeenFilter
from dashboard.event_fields import fields_of, reply_text
from dashboard.finding import recipients_of
from dashboard.forms.events import WebhookForm
from dashboard.secrets_shown import show_once
from mta.events.models import Decision, Event, WebhookEndpoint
from mta.storage.fields import to_ms


@admin.register(Event)
class EventAdmin(HotAdmin):
    list_display = ["at_shown", "kind_label", "tenant", "to", "reply", "message_name"]
    list_filter = [("kind", ChoicesDropdownFilter), ("tenant", SeenFilter)]
    list_select_related = ["tenant"]
    list_display_links = ["at_shown"]
    search_fields = ["recipient_id"]
    search_help_text = "Address, recipient id or message id"
    ordering = ["-id"]
    kind_label = display.label_column("kind", "Kind")
    fields = ["at_shown", "kind_label", "tenant", "to", "message_name", "data_shown"]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        found = recipients_of(search_term)
        return (queryset if found is None else queryset.filter(recipient_id__in=found)), False

    @admin.display(description="At")
    def at_shown(self, row: Event) -> SafeString:
        return display.instant(row.at)

    @admin.display(description="Recipient")
    def to(self, row: Event) -> SafeString:
        return display.recipient_link(row.recipient_id, str(fields_of(row).get("to") or ""))

    @admin.display(description="Reply")
    def reply(self, row: Event) -> str:
        return reply_text(fields_of(row))

    @admin.display(description="Message")
    def message_name(self, row: Event) -> SafeString:
        return display.message_link(row.message_id)

    @admin.display(description="Fields")
    def data_shown(self, row: Event) -> SafeString:
        return display.pretty_json(fields_of(row))


class SinceFilter(admin.SimpleListFilter):
    """Decisions of the last hour, day or week."""

    title = "when"
    parameter_name = "since"
    hours: ClassVar = {"1": "the last hour", "24": "the last day", "168": "the last week"}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(self.hours.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() not in self.hours:
            return queryset
        since = timezone.now() - timedelta(hours=int(str(self.value())))
        return queryset.filter(at__gte=to_ms(since))


@admin.register(Decision)
class DecisionAdmin(HotAdmin):
    """What the system and people decided, and why; read only."""

    list_display = ["at_shown", "kind_label", "actor", "tenant", "about", "count_shown", "because"]
    list_filter = [
        SinceFilter,
        ("kind", AllValuesFieldListFilter),
        ("tenant", SeenFilter),
    ]
    list_select_related = ["tenant"]
    list_display_links = ["at_shown"]
    search_fields = ["actor", "source", "site", "provider", "campaign"]
    search_help_text = "Actor, source, site, provider or campaign; the whole name"
    ordering = ["-id"]
    kind_label = display.label_column("kind", "Kind")
    fields = [
        "at_shown", "kind_label", "actor", "tenant", "source", "site", "provider", "campaign",
        "count_shown", "reason", "data_shown",
    ]  # fmt: skip

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        found = Q()
        for name in self.search_fields:
            found |= Q(**{name: term})
        return queryset.filter(found), False

    @admin.display(description="At")
    def at_shown(self, row: Decision) -> SafeString:
        return display.instant(row.at)

    @admin.display(description="About")
    def about(self, row: Decision) -> str:
        return ", ".join(
            word for word in (row.source, row.provider, row.site, row.campaign) if word
        )

    @admin.display(description="Recipients")
    def count_shown(self, row: Decision) -> str | SafeString:
        return display.DASH if row.count is None else f"{row.count:,}"

    @admin.display(description="Reason")
    def because(self, row: Decision) -> SafeString:
        return display.clipped(row.reason)

    @admin.display(description="Figures")
    def data_shown(self, row: Decision) -> SafeString:
        return display.pretty_json(orjson.loads(row.data))


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(Row):
    form = WebhookForm
    list_display = ["url", "tenant", "enabled", "kinds_shown", "created"]
    list_filter = [("tenant", SeenFilter), "enabled"]
    list_select_related = ["tenant"]
    search_fields = ["url", "tenant__name"]
    search_help_text = "Address or tenant"
    autocomplete_fields = ["tenant"]
    created = display.instant_column("created_at", "Created")
    fieldsets = [
        (
            None,
            {
                "description": "Events are sent by POST, signed as Standard Webhooks asks. The "
                "secret is made here and shown once, after saving.",
                "fields": ["tenant", "url", "enabled"],
            },
        ),
        ("Events", {"fields": ["kinds"]}),
    ]

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return ["tenant"] if obj else []

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        obj.secret = secret.encode()
        super().save_model(request, obj, form, change)
        show_once(request, f"Signing secret of {obj.url}:", secret)

    @admin.display(description="Kinds")
    def kinds_shown(self, row: WebhookEndpoint) -> str:
        return ", ".join(row.kinds) or "all"
