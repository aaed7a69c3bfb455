"""The warmup pages: where every source stands, a person's orders, and the simulator."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone

from dashboard import roles
from dashboard.forms.simulate import FIRST, SimulateForm
from dashboard.pages.access import frame, staff_page
from dashboard.pages.queues import page_number
from dashboard.warmups import warmup_rows
from mta.control.refusal import Refused
from mta.control.warmup import order
from mta.egress.models import WarmupStatus
from mta.policy.simulate import Simulation, simulate

TONES = {"warming": "warn", "held": "hold", "warm": "good"}
ORDERS = {
    "hold": "Hold", "resume": "Resume", "advance": "Advance", "step_back": "Step back",
    "restart": "Restart",
}  # fmt: skip
#: Rows of the simulator's table; the rest is in the chart.
MOST_DAYS = 120


@staff_page
def warmup(request: HttpRequest) -> HttpResponse:
    """`?q=PART&status=STATUS&page=N`; POST `state=ID&order=ORDER&reason=WHY`, for operators."""
    if request.method == "POST":
        return ordered(request)
    status = request.GET.get("status", "")
    status = status if status in WarmupStatus.values else ""
    search, number = request.GET.get("q", "").strip()[:253], page_number(request)
    rows, more = warmup_rows(
        request.user, timezone.now(), search=search, status=status, number=number
    )
    context = {
        "rows": [(row, TONES[row.state.status]) for row in rows], "more": more, "number": number,
        "search": search, "status": status, "statuses": WarmupStatus.values,
        "orders": ORDERS.items(), "may_order": roles.is_operator(request.user),
    }  # fmt: skip
    return frame(request, "dashboard/warmup.html", "Warmup", **context)


def ordered(request: HttpRequest) -> HttpResponse:
    """Do what the form orders, and come back to the same place."""
    if not roles.is_operator(request.user):
        raise PermissionDenied
    given = request.POST
    try:
        state = order(
            int(given.get("state", "0")) if given.get("state", "").isdecimal() else 0,
            given.get("order", ""),
            by=request.user.get_username(),
            reason=given.get("reason", ""),
            now=timezone.now(),
        )
    except Refused as refused:
        messages.error(request, f"Nothing was changed: {refused.reason}.")
    else:
        stands = "warm" if state.status == "warm" else f"{state.status} at stage {state.stage}"
        messages.success(request, f"{state.source.name} to {state.reach} is {stands}.")
    query = request.META.get("QUERY_STRING", "")
    return redirect(f"{reverse('dashboard:warmup')}{'?' if query else ''}{query}")


@staff_page
def simulator(request: HttpRequest) -> HttpResponse:
    """A form in the address, so that a plan can be shown to others; and what comes of it."""
    form = SimulateForm(request.GET) if request.GET else SimulateForm(FIRST)
    context: dict[str, Any] = {"form": form}
    if form.is_valid() and form.plan is not None:
        played = simulate(form.plan)
        rows = [(day, one) for day in played.days[:MOST_DAYS] for one in day.providers]
        context |= {
            "played": played, "rows": rows, "chart": json.dumps(chart(played)),
            "options": json.dumps(OPTIONS), "is_campaign": bool(form.plan.campaign),
            "first": len(played.days[:MOST_DAYS]),
        }  # fmt: skip
    return frame(request, "dashboard/simulate.html", "Simulate a warmup", **context)


#: Chart.js options: stacked bars, and the waiting mail as a line.
OPTIONS: dict[str, Any] = {
    "animation": False,
    "responsive": True,
    "maintainAspectRatio": False,
    "interaction": {"mode": "index", "intersect": False},
    "plugins": {"legend": {"display": True, "position": "bottom"}},
    "scales": {
        "x": {"stacked": True, "title": {"display": True, "text": "day"}},
        "y": {"stacked": True, "beginAtZero": True,
              "title": {"display": True, "text": "messages"}},
    },
}  # fmt: skip


def chart(played: Simulation) -> dict[str, Any]:
    """Chart.js data: what each day sent, and what waited at its end."""
    days = played.days

    def bars(label: str, name: str, colour: str) -> dict[str, Any]:
        data = [day.total(name) for day in days]
        return {"label": label, "data": data, "backgroundColor": colour, "stack": "sent"}

    waiting = {
        "label": "waiting at the end of the day", "type": "line", "borderColor": "#d97706",
        "backgroundColor": "#d97706", "pointRadius": 2, "borderWidth": 2, "stack": "waiting",
        "data": [day.total("waiting") for day in days],
    }  # fmt: skip
    return {
        "labels": [day.number for day in days],
        "datasets": [
            bars("sent by the cold sources", "cold", "#0d9488"),
            bars("sent by the overflow pool", "overflow", "#94a3b8"),
            waiting,
        ],
    }
