"""Shaping rules: how hard a provider or a site may be pushed."""

from __future__ import annotations

from django.contrib import admin
from django.utils.html import format_html
from django.utils.safestring import SafeString

from dashboard import display
from dashboard.admin.base import ChoicesDropdownFilter, Row
from dashboard.forms.shaping import ShapingRuleForm
from mta.egress.models import ShapingRule


@admin.register(ShapingRule)
class ShapingRuleAdmin(Row):
    form = ShapingRuleForm
    list_display = [
        "rule", "enabled", "connections", "messages_per_connection", "messages_per_second",
        "connections_per_minute", "tls", "note",
    ]  # fmt: skip
    list_filter = [("match_kind", ChoicesDropdownFilter), "enabled", ("tls", ChoicesDropdownFilter)]
    search_fields = ["match", "note"]
    search_help_text = "Provider, site or note"
    list_select_related = ["source"]
    autocomplete_fields = ["source"]
    fieldsets = [
        (
            None,
            {
                "description": "Overrides the shipped limits: default, then provider, then site. "
                "An empty field inherits.",
                "fields": [("match_kind", "match"), "source", "enabled"],
            },
        ),
        (
            "Limits per source",
            {
                "fields": [
                    ("connections", "connections_per_minute"),
                    ("messages_per_connection", "tls"),
                    ("messages_per_second", "burst"),
                ]
            },
        ),
        (
            "Time-outs in seconds (RFC 5321 4.5.3.2)",
            {
                "classes": ["collapse"],
                "fields": [
                    ("connect_timeout", "greeting_timeout", "ehlo_timeout"),
                    ("mail_timeout", "rcpt_timeout", "data_timeout"),
                    ("block_timeout", "dot_timeout", "quit_timeout"),
                ],
            },
        ),
        (None, {"fields": ["note"]}),
    ]

    @admin.display(description="Rule", ordering="match_kind")
    def rule(self, row: ShapingRule) -> SafeString:
        whom = f"{row.match} from {row.source.name}" if row.source else row.match
        return format_html("{} {}", display.label(row.match_kind, "plain"), whom)
