"""How values look to people: names of ids, relative times, states with a colour, numbers."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib import admin
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from mta.mail import ids
from mta.policy.lifecycle import State

DASH = SafeString('<span class="mm-faint">–</span>')

#: Colour class of each word that stands for a state, an outcome, an event kind or a status.
TONES: dict[str, str] = {
    State.SCHEDULED: "info",
    State.CLAIMED: "busy",
    State.DEFERRED: "warn",
    State.HELD: "hold",
    State.DELIVERED: "good",
    State.BOUNCED: "bad",
    State.EXPIRED: "bad",
    State.SUPPRESSED: "hold",
    State.ADMIN_BOUNCED: "bad",
    "reception": "info",
    "rejection": "bad",
    "delivery": "good",
    "deferral": "warn",
    "bounce": "bad",
    "expiration": "bad",
    "admin_bounce": "bad",
    "suppression": "hold",
    "oob_bounce": "bad",
    "complaint": "bad",
    "unsubscribe": "hold",
    "active": "good",
    "suspended": "bad",
    "draining": "warn",
    "revoked": "bad",
    "expired": "bad",
    "warming up": "warn",
    "warm": "good",
}


def label(word: str, tone: str = "") -> SafeString:
    """A small coloured label; the colour follows the word unless given."""
    return format_html(
        '<span class="mm-label mm-{}">{}</span>',
        tone or TONES.get(word, "plain"),
        word.replace("_", " "),
    )


def span(seconds: float) -> str:
    """A length of time in one or two units, such as '3 min' or '2 d 4 h'."""
    seconds = abs(seconds)
    if seconds < 1:
        return "0 s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    if hours < 1:
        return f"{minutes} min"
    if days < 1:
        rest = minutes - hours * 60
        return f"{hours} h {rest} min" if hours < 10 and rest else f"{hours} h"
    rest = hours - days * 24
    return f"{days} d {rest} h" if days < 10 and rest else f"{days} d"


def ago(at: datetime, now: datetime | None = None) -> str:
    """The instant in relation to now: '3 min ago', 'in 2 h', 'now'."""
    seconds = ((now or timezone.now()) - at).total_seconds()
    if abs(seconds) < 1:
        return "now"
    return f"{span(seconds)} ago" if seconds > 0 else f"in {span(seconds)}"


def instant(at: datetime | None, *, age: bool = False) -> SafeString:
    """A relative time that tells the exact one on hover; with `age` without the word 'ago'."""
    if at is None:
        return DASH
    exact = at.astimezone(UTC)
    text = span((timezone.now() - at) / timedelta(seconds=1)) if age else ago(at)
    return format_html(
        '<time datetime="{}" title="{}"{}>{}</time>',
        exact.isoformat(timespec="milliseconds"),
        exact.strftime("%Y-%m-%d %H:%M:%S UTC"),
        SafeString(" data-age") if age else "",
        text,
    )


def message_link(message_id: int | None) -> SafeString:
    """The message's name, leading to its page."""
    if not message_id:
        return DASH
    name = ids.encode(message_id)
    return format_html(
        '<a class="mm-id" href="{}">{}</a>', reverse("dashboard:message", args=[name]), name
    )


def recipient_link(recipient_id: int | None, text: str = "") -> SafeString:
    """The recipient's name (or `text`), leading to its page."""
    if not recipient_id:
        return DASH
    name = ids.encode(recipient_id)
    return format_html(
        '<a class="{}" href="{}">{}</a>',
        "mm-link" if text else "mm-id",
        reverse("dashboard:recipient", args=[name]),
        text or name,
    )


Column = Callable[[Any, Any], SafeString]


def instant_column(field: str, title: str) -> Column:
    """A list column of the admin: the instant in `field` as a relative time."""

    @admin.display(description=title, ordering=field)
    def column(_: Any, row: Any) -> SafeString:
        return instant(getattr(row, field))

    return column


def label_column(field: str, title: str) -> Column:
    """A list column of the admin: the word in `field` as a coloured label."""

    @admin.display(description=title, ordering=field)
    def column(_: Any, row: Any) -> SafeString:
        word = getattr(row, field)
        return label(word) if word else DASH

    return column


def clipped(text: str, length: int = 80) -> SafeString:
    """A long line cut short; the whole on hover."""
    if not text:
        return DASH
    if len(text) <= length:
        return format_html('<span class="mm-reply">{}</span>', text)
    return format_html('<span class="mm-reply" title="{}">{}…</span>', text, text[:length])


def pretty_json(value: Any) -> SafeString:
    """A JSON value, indented."""
    return format_html(
        '<pre class="mm-json">{}</pre>', json.dumps(value, indent=2, ensure_ascii=False)
    )
