"""One box for everything: an id, an address or a domain."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from unfold.dataclasses import SearchResult

from dashboard import roles
from dashboard.finding import address_forms, id_of
from dashboard.pages.access import frame, staff_page
from mta.mail import ids
from mta.mail.address import AddressError, normalise_domain
from mta.spool.models import Lane, Message, Recipient
from mta.suppression.models import Suppression

FOUND = 100


@staff_page
def search(request: HttpRequest) -> HttpResponse:
    """Leads to the one thing that the words mean, or lists what was found."""
    term = request.GET.get("q", "").strip()[:400]
    target = page_for(request, term)
    if target:
        return redirect(target)
    addresses = address_forms(term)
    context = {
        "term": term,
        "recipients": recipients_to(request, addresses),
        "suppressions": suppressions_of(request, addresses),
        "is_address": bool(addresses),
        "limit": FOUND,
    }
    return frame(request, "dashboard/search.html", "Search", **context)


def page_for(request: HttpRequest, term: str) -> str:
    """The page of the message, recipient or queue that the term names; "" when there is none."""
    number = id_of(term)
    if number is not None:
        if roles.seen(request.user, Message.objects.filter(pk=number)).exists():
            return reverse("dashboard:message", args=[ids.encode(number)])
        if roles.seen(request.user, Recipient.objects.filter(pk=number)).exists():
            return reverse("dashboard:recipient", args=[ids.encode(number)])
    try:
        domain = normalise_domain(term)
    except AddressError:
        domain = term.lower()
    if domain and roles.seen(request.user, Lane.objects.filter(domain=domain)).exists():
        return reverse("dashboard:queue", args=[domain])
    return ""


def recipients_to(request: HttpRequest, addresses: list[str]) -> QuerySet[Recipient]:
    """The latest recipients with one of these addresses."""
    rows = Recipient.objects.filter(address__in=addresses).select_related("message__tenant")
    found: QuerySet[Recipient] = roles.seen(request.user, rows.defer("substitutions"))
    return found.order_by("-id")[:FOUND]


def suppressions_of(request: HttpRequest, addresses: list[str]) -> QuerySet[Suppression]:
    rows = Suppression.objects.filter(address__in=addresses).select_related("tenant", "stream")
    found: QuerySet[Suppression] = roles.seen(request.user, rows)
    return found[:FOUND]


def command_results(request: HttpRequest, term: str) -> list[Any]:
    """For the admin's command box (Ctrl+K): the same, as links."""
    if not roles.is_staff(request.user):
        return []
    target = page_for(request, term.strip())
    url = target or f"{reverse('dashboard:search')}?q={term}"
    title = f"Open {term}" if target else f"Search the spool for {term}"
    return [SearchResult(title=title, description="Mail", link=url, icon="mail")]
