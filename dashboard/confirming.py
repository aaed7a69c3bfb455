"""The page between an order and its being carried out: what would change, counted."""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib import admin
from django.http import HttpRequest
from django.template.response import TemplateResponse

from mta.control.preview import Preview

#: Posted by the confirmation; everything else is what the person had posted before.
CONFIRMED = "_confirmed"
#: Django's own, and ours: not carried over.
NOT_CARRIED = {"csrfmiddlewaretoken", CONFIRMED}


def asked(
    request: HttpRequest, *, title: str, verb: str, seen: Preview | None = None,
    facts: Sequence[tuple[str, str]] = (), note: str = "", back: str = "",
) -> TemplateResponse:  # fmt: skip
    """Ask the person; confirming posts the same values again, with CONFIRMED.

    `facts` are (label, value); `back` is where "no" leads, by default the page asked from.
    """
    carried = [
        (name, value)
        for name, values in request.POST.lists()
        if name not in NOT_CARRIED
        for value in values
    ]
    context = {
        **admin.site.each_context(request),
        "title": title,
        "verb": verb,
        "seen": seen,
        "facts": facts,
        "note": note,
        "carried": carried,
        "confirmed": CONFIRMED,
        "back": back or request.get_full_path(),
    }
    return TemplateResponse(request, "dashboard/confirm.html", context)
