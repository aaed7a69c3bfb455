"""Routing rules: which mail takes another way than its stream's."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import action

from dashboard import display
from dashboard.admin.base import ChoicesDropdownFilter, Row
from dashboard.forms.routing import RoutingRuleForm
from mta.delivery.routing_preview import words_of
from mta.egress.models import RoutingRule


@admin.register(RoutingRule)
class RoutingRuleAdmin(Row):
    form = RoutingRuleForm
    list_display = ["position", "name", "does", "when", "enabled", "note"]
    list_display_links = ["name"]
    list_filter = [("action", ChoicesDropdownFilter), "enabled"]
    list_select_related = ["pool", "source"]
    search_fields = ["name", "condition", "note"]
    search_help_text = "Name, condition or note"
    autocomplete_fields = ["pool", "source"]
    actions_list = ["try_it"]
    fieldsets = [
        (
            None,
            {
                "description": "Rules are asked in the order of their positions; the first whose "
                "condition holds decides. Acts within 3 seconds.",
                "fields": [("name", "position"), "condition", ("enabled", "note")],
            },
        ),
        (
            "Then",
            {"fields": ["action", ("pool", "source"), ("priority", "reason")]},
        ),
    ]

    @admin.display(description="Does", ordering="action")
    def does(self, row: RoutingRule) -> SafeString:
        what, target = words_of(row)
        tone = "bad" if what == "reject" else "hold" if what == "hold" else "plain"
        return format_html("{} {}", display.label(what, tone), target)

    @admin.display(description="When", ordering="condition")
    def when(self, row: RoutingRule) -> SafeString:
        return format_html("<code>{}</code>", row.condition)

    @action(description="Try it", icon="rule", url_path="try")  # type: ignore[untyped-decorator]  # unfold has no types
    def try_it(self, request: HttpRequest, **_: Any) -> HttpResponse:
        """Which rule some mail would meet."""
        return redirect("dashboard:routing")
