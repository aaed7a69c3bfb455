"""Drain and undrain as actions on a list of sources, counted and confirmed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from dashboard.confirming import CONFIRMED, asked
from mta.control import draining
from mta.control.refusal import Refused

if TYPE_CHECKING:
    from mta.egress.models import Source


class Drains:
    """Mixed into the admin of sources, which names both among its actions."""

    @admin.action(description="Drain: begin nothing new", permissions=["change"])
    def drain(self, request: HttpRequest, rows: QuerySet[Source]) -> HttpResponse | None:
        return ordered(request, list(rows), drain=True)

    @admin.action(description="Undrain: send again", permissions=["change"])
    def undrain(self, request: HttpRequest, rows: QuerySet[Source]) -> HttpResponse | None:
        return ordered(request, list(rows), drain=False)


def ordered(request: HttpRequest, rows: list[Source], *, drain: bool) -> HttpResponse | None:
    """Ask with the counts, or do what was confirmed; None goes back to the list."""
    if CONFIRMED not in request.POST:
        return confirmation(request, rows, drain=drain)
    order, done = (draining.drain, "draining") if drain else (draining.undrain, "active")
    for row in rows:
        try:
            found = order(row, by=request.user.get_username())
        except Refused as refused:
            messages.error(request, refused.reason)
        else:
            messages.success(request, f"{row.name} is {done}; {found.bound:,} recipients bound.")
    return None


def confirmation(request: HttpRequest, rows: list[Source], *, drain: bool) -> HttpResponse:
    verb = "Drain" if drain else "Undrain"
    facts: list[tuple[str, Any]] = []
    for row in rows:
        found = draining.load(row)
        told = f"{found.status}; {found.bound:,} waiting recipients bound to it"
        if found.connections is not None:
            told += f"; {found.connections:,} connections open"
        if drain and found.alone_in:
            told += f"; no other active source in {', '.join(found.alone_in)}: mail waits"
        facts.append((row.name, told))
    note = (
        "Nothing new begins; what is in flight finishes, and bound mail goes from another source."
        if drain
        else "They send again, within 5 seconds."
    )
    names = ", ".join(row.name for row in rows)
    return asked(request, title=f"{verb} {names}?", verb=verb, facts=facts, note=note)
