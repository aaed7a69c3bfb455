"""The front page: where everything is, and a glance at the mail for those who are signed in."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.templatetags.static import static

from dashboard import queries, roles
from dashboard.pages.access import frame
from mta.tenants.models import Tenant


def front(request: HttpRequest) -> HttpResponse:
    """For strangers a door, for staff the glance."""
    if not roles.is_staff(request.user):
        return render(request, "dashboard/door.html")
    context = glance(request)
    if request.GET.get("part") == "glance":
        return render(request, "dashboard/glance.html", context)
    context["mine"] = roles.seen(request.user, Tenant.objects.all())[:10]
    return frame(request, "dashboard/front.html", "Overview", **context)


def glance(request: HttpRequest) -> dict[str, Any]:
    tenants = roles.reach(request.user)
    survey = queries.survey(tenants)
    return {
        "survey": survey,
        "hour": queries.last_hour(tenants),
        "busiest": [rank for rank in survey.ranks[:8] if rank.waiting],
        "most": max((rank.waiting for rank in survey.ranks[:1]), default=0),
    }


def favicon(request: HttpRequest) -> HttpResponse:
    """Browsers ask for it beside pages that name no icon, such as /metrics."""
    return redirect(static("dashboard/mill.svg"), permanent=True)
