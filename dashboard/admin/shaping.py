"""Shaping rules, how hard receivers may be pushed, and automations, what their replies call for."""

from __future__ import annotations

from collections.abc import Iterator

from django.contrib import admin
from django.db.models import Model
from django.utils.html import format_html
from django.utils.safestring import SafeString

from dashboard import display
from dashboard.admin.base import ChoicesDropdownFilter, Row
from dashboard.forms.shaping import AutomationRuleForm, ShapingRuleForm
from mta.egress.models import AutomationRule, ShapingRule

#: How lists say a value, besides time-outs.
WORDS = {
    "connections": "{} connections",
    "connections_per_minute": "{} new a minute",
    "messages_per_connection": "{} a connection",
    "messages_per_second": "{} a second",
    "messages_per_minute": "{} a minute",
    "messages_per_hour": "{} an hour",
    "messages_per_day": "{} a day",
    "rate_per_minute": "{} a minute",
    "burst": "burst {}",
    "tls": "TLS {}",
    "retry_steps": "retry {}",
    "life_hours": "life {} h",
}


def worded(row: Model) -> Iterator[str]:
    """What the row sets, in few words each."""
    for name, words in WORDS.items():
        value = getattr(row, name, None)
        if value not in (None, ""):
            said = words.format(value if isinstance(value, str) else f"{value:g}")
            yield said.removesuffix("s") if said == "1 connections" else said


def said(row: ShapingRule) -> Iterator[str]:
    """What a shaping rule says, for the list."""
    if row.mx_suffixes:
        yield f"MX {row.mx_suffixes}"
    yield from worded(row)
    waits = [field.name for field in row._meta.fields if field.name.endswith("_timeout")]
    if number := sum(getattr(row, name) is not None for name in waits):
        yield f"{number} time-out{'s' * (number > 1)}"


@admin.register(ShapingRule)
class ShapingRuleAdmin(Row):
    form = ShapingRuleForm
    list_display = ["rule", "sets", "enabled", "note"]
    list_filter = [("match_kind", ChoicesDropdownFilter), "enabled", ("tls", ChoicesDropdownFilter)]
    search_fields = ["match", "note", "source__name"]
    search_help_text = "Provider, site, source or note"
    list_select_related = ["source"]
    autocomplete_fields = ["source"]
    fieldsets = [
        (
            None,
            {
                "description": "Lies above the shipped limits: default, then provider, then "
                "provider for one source, then site, then site for one source. An empty field "
                "inherits. Acts within 5 seconds.",
                "fields": [
                    ("match_kind", "match"),
                    "mx_suffixes",
                    ("source", "enabled"),
                    "note",
                ],
            },
        ),
        (
            "Connections of one source",
            {
                "description": "A provider's rule counts all its sites together; other rules "
                "count each site by itself.",
                "fields": [
                    ("connections", "connections_per_minute"),
                    ("messages_per_connection", "tls"),
                ],
            },
        ),
        (
            "Messages of one source",
            {
                "description": "Each rate flows evenly, so the tightest of several decides.",
                "fields": [
                    ("messages_per_second", "messages_per_minute"),
                    ("messages_per_hour", "messages_per_day"),
                    "burst",
                ],
            },
        ),
        (
            "Retry",
            {
                "description": "For mail that is deferred there, in place of the stream's.",
                "fields": [("retry_steps", "life_hours")],
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
    ]

    @admin.display(description="Rule", ordering="match_kind")
    def rule(self, row: ShapingRule) -> SafeString:
        whom = f"{row.match} from {row.source.name}" if row.source else row.match
        return format_html("{} {}", display.label(row.match_kind, "plain"), whom)

    @admin.display(description="Sets")
    def sets(self, row: ShapingRule) -> str:
        return ", ".join(said(row))


@admin.register(AutomationRule)
class AutomationRuleAdmin(Row):
    form = AutomationRuleForm
    list_display = ["name", "whom", "pattern", "after", "does", "enabled", "note"]
    list_filter = [("action", ChoicesDropdownFilter), "enabled"]
    search_fields = ["name", "provider", "pattern", "note"]
    search_help_text = "Name, provider, pattern or note"
    fieldsets = [
        (
            None,
            {
                "description": "Asked before the shipped automations. The name of a shipped one "
                "replaces it; switched off, it switches that one off too.",
                "fields": [("name", "enabled"), "note"],
            },
        ),
        (
            "When",
            {
                "fields": ["provider", "pattern", ("threshold", "window_seconds")],
            },
        ),
        (
            "Then, for one source towards the provider, or the site when it is for any",
            {
                "description": "Slow needs a rate; slow and one connection may give more.",
                "fields": [
                    ("action", "duration_seconds"),
                    ("rate_per_minute", "connections", "messages_per_connection"),
                ],
            },
        ),
    ]

    @admin.display(description="Provider", ordering="provider")
    def whom(self, row: AutomationRule) -> str | SafeString:
        return row.provider or display.label("any", "plain")

    @admin.display(description="After", ordering="threshold")
    def after(self, row: AutomationRule) -> str:
        replies = f"{row.threshold} {'reply' if row.threshold == 1 else 'replies'}"
        return f"{replies} in {display.span(row.window_seconds)}"

    @admin.display(description="Does", ordering="action")
    def does(self, row: AutomationRule) -> str:
        what = ", ".join([str(row.get_action_display()).lower(), *worded(row)])
        return f"{what}, for {display.span(row.duration_seconds)}"
