"""Who may open a page, whose mail it shows, and the frame around it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from django.contrib import admin
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from dashboard import roles
from dashboard.queries import Tenants
from mta.tenants.models import Tenant

P = ParamSpec("P")


def staff_page(
    page: Callable[Concatenate[HttpRequest, P], HttpResponse],
) -> Callable[..., HttpResponse]:
    """Only for signed-in staff; others go to the login, a live part tells its page to go there."""

    @wraps(page)
    def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if roles.is_staff(request.user):
            return page(request, *args, **kwargs)
        if request.user.is_authenticated:
            raise PermissionDenied
        login = reverse("admin:login")
        if request.headers.get("HX-Request"):
            here = request.headers.get("HX-Current-URL", "/")
            return HttpResponse(status=401, headers={"HX-Redirect": f"{login}?next={here}"})
        return redirect_to_login(request.get_full_path(), login)

    return guarded


def frame(request: HttpRequest, template: str, title: str, **context: Any) -> HttpResponse:
    """The template inside the admin's frame."""
    context = {**admin.site.each_context(request), "title": title, **context}
    return TemplateResponse(request, template, context)


def chosen_tenants(request: HttpRequest) -> tuple[Tenants, list[Tenant], Tenant | None]:
    """(tenants to show, tenants to choose from, the chosen one) for `?tenant=ID`."""
    choices = list(roles.seen(request.user, Tenant.objects.all())[:500])
    wanted = request.GET.get("tenant", "")
    chosen = next((tenant for tenant in choices if str(tenant.pk) == wanted), None)
    if chosen:
        return [chosen.pk], choices, chosen
    return roles.reach(request.user), choices, None
