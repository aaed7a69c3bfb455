"""The throttles page: which paths replies have slowed, why and until when, and an end to it."""

from __future__ import annotations

import redis
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from dashboard import roles
from dashboard.pages.access import frame, staff_page
from mta.delivery.throttle_rows import KINDS, ThrottleRow, throttle_rows
from mta.delivery.throttle_states import reset, reset_all

TONES = {
    "blocked": "bad", "dead": "bad", "suspended": "hold", "stopped": "bad", "slowed": "warn",
    "watched": "info",
}  # fmt: skip
#: Rows on the page; more than that is one cause, not many.
MOST = 500


@staff_page
def throttles(request: HttpRequest) -> HttpResponse:
    """GET lists, `part=rows` the table alone; POST `key=KEY` or `all=1` resets."""
    if not roles.is_operator(request.user):
        raise PermissionDenied
    if request.method == "POST":
        return ended(request)
    context = listed()
    if request.GET.get("part") == "rows":
        return render(request, "dashboard/throttle_rows.html", context)
    return frame(request, "dashboard/throttles.html", "Throttles", **context)


def ended(request: HttpRequest) -> HttpResponse:
    """Reset what the form names."""
    actor = request.user.get_username()
    try:
        if request.POST.get("all"):
            messages.success(request, f"{reset_all(actor=actor)} paths reset.")
        elif reset(request.POST.get("key", ""), actor=actor):
            messages.success(request, "The path is reset: mail goes as configured.")
        else:
            messages.info(request, "That path was free already.")
    except redis.RedisError:
        messages.error(request, "Redis does not answer; nothing was reset.")
    return redirect("dashboard:throttles")


def listed() -> dict[str, object]:
    try:
        rows = throttle_rows()
    except redis.RedisError:
        return {"away": True, "rows": []}
    order = list(KINDS)
    rows.sort(key=lambda row: (order.index(row.kind), row.source, row.reach))
    return {
        "rows": [(row, TONES[row.kind]) for row in rows[:MOST]],
        "count": len(rows),
        "kinds": counted(rows),
    }


def counted(rows: list[ThrottleRow]) -> list[tuple[str, int, str]]:
    """(kind, how many, its tone) of the kinds that there are."""
    counts = {kind: sum(row.kind == kind for row in rows) for kind in KINDS}
    return [(kind, count, TONES[kind]) for kind, count in counts.items() if count]
