"""Orders over waiting mail: chosen, counted, confirmed, carried out."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from dashboard import roles
from dashboard.confirming import CONFIRMED, asked
from dashboard.forms.control import ORDERS, ControlForm
from dashboard.pages.access import frame, staff_page
from mta.control.changes import TAKES
from mta.control.preview import preview
from mta.control.selection import Selection, as_json


@staff_page
def control(request: HttpRequest) -> HttpResponse:
    """The form; a query string fills it in. A POST counts, a confirmed one acts."""
    if request.method != "POST":
        return shown(request, ControlForm(request.user, initial=request.GET.dict()))
    form = ControlForm(request.user, request.POST)
    if not form.is_valid() or form.chosen is None:
        return shown(request, form)
    if CONFIRMED not in request.POST:
        return confirmation(request, form, form.chosen)
    done = form.carry_out(request.user.get_username())
    told = f" {done.dsns:,} senders are told." if done.dsns else ""
    messages.success(request, f"{done.changed:,} recipients changed.{told}")
    return redirect("dashboard:control")


def shown(request: HttpRequest, form: ControlForm) -> HttpResponse:
    operator = roles.is_operator(request.user)
    template = "dashboard/control.html"
    return frame(request, template, "Control mail", form=form, operator=operator)


def confirmation(request: HttpRequest, form: ControlForm, chosen: Selection) -> HttpResponse:
    order = form.cleaned_data["order"]
    _, verb, takes = ORDERS[order]
    facts = [
        (key.replace("_", " ").capitalize(), ", ".join(values))
        for key, values in as_json(chosen).items()
    ]
    if order == "move":
        facts.append(("To pool", form.cleaned_data["pool"].name))
    if form.cleaned_data["reason"]:
        facts.append(("Reason", form.cleaned_data["reason"]))
    return asked(
        request,
        title=f"{verb} this mail?",
        verb=verb,
        seen=preview(chosen, TAKES[takes]),
        facts=facts,
        note="Ended mail does not come back." if takes == "bounce" else "",
    )
