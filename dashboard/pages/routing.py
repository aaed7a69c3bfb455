"""The routing page: which rule some mail would meet, and why."""

from __future__ import annotations

import redis
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from dashboard import roles
from dashboard.forms.routing import TryForm
from dashboard.pages.access import frame, staff_page
from mta.delivery.network import route_to
from mta.delivery.routing_preview import Supposed, preview, tags_of, words_of
from mta.delivery.shaping import rules
from mta.mail.address import Address
from mta.net.dns import ResolveError
from mta.policy.routing import Value
from mta.policy.shaping import providers
from mta.policy.site import provider_of, site_name

TONES = {"decides": "good", "holds": "info", "no": "plain", "off": "plain", "trouble": "bad"}


@staff_page
def routing(request: HttpRequest) -> HttpResponse:
    """GET without parameters shows the form, with them the answer."""
    if not roles.is_operator(request.user):
        raise PermissionDenied
    form = TryForm(request.GET or None)
    context: dict[str, object] = {"form": form}
    if form.is_valid():
        context |= answer(form)
    return frame(request, "dashboard/routing.html", "Try the routing rules", **context)


def answer(form: TryForm) -> dict[str, object]:
    values = form.cleaned_data
    to: Address = values["to"]
    site, provider, trouble = place_of(to.domain)
    mail = Supposed(
        values["stream"], to.domain, site, provider, values["campaign"], tags_of(values["tags"]),
        values["size"] or 0,
    )  # fmt: skip
    try:
        found = preview(mail)
    except redis.RedisError:
        return {"trouble": "Redis does not answer: the rates of the last hour are not known."}
    decided = found.decided
    return {
        "mail": mail,
        "trouble": trouble,
        "decided": decided,
        "does": words_of(decided) if decided else None,
        "tried": [(one, TONES[one.says], words_of(one.rule)) for one in found.tried],
        "values": [(name, said(value)) for name, value in found.values],
    }


def said(value: Value) -> str:
    """A value as people read it."""
    if isinstance(value, float):
        return f"{value:,.0f}" if value.is_integer() else f"{value:.3f}"
    return value if isinstance(value, str) else ", ".join(value)


def place_of(domain: str) -> tuple[str, str, str]:
    """(site, provider, why they are not known)."""
    found = route_to(domain)
    if isinstance(found, ResolveError):
        return "", "", f"{domain} has no route now: {found.text}"
    names = [host.name for host in found.hosts]
    return site_name(names), provider_of(names, providers(rules())), ""
