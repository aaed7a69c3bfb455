"""Shows a secret that has just been made, once, to the person who made it."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest
from django.utils.html import format_html


def show_once(request: HttpRequest, what: str, secret: str) -> None:
    """Queue a message with the secret; it lives in the answer's cookie, not in the database."""
    messages.warning(
        request,
        format_html(
            "{} <code class='mm-secret'>{}</code> Copy it now: it is not stored and cannot be "
            "shown again.",
            what,
            secret,
        ),
    )
