"""The queue page: what waits for whom, since when and why; and one domain of it."""

from __future__ import annotations

from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from dashboard import queries, roles
from dashboard.pages.access import chosen_tenants, frame, staff_page
from dashboard.queue_lanes import lane_rows, next_to_go
from dashboard.queue_rows import ORDERS, queue_page
from mta.egress.models import Suspension

MAX_PAGE = 2_000
#: Sort keys that begin with the greatest value.
GREATEST_FIRST = {"waiting", "oldest", "flight", "reply"}


@staff_page
def queues(request: HttpRequest) -> HttpResponse:
    """`?sort=[-]KEY&tenant=ID&q=PART&page=N`; `part=rows` answers with the table alone."""
    tenants, choices, chosen = chosen_tenants(request)
    sort = request.GET.get("sort", "-waiting")
    order, search = sort.lstrip("-"), request.GET.get("q", "").strip().lower()[:253]
    if order not in ORDERS:
        order, sort = "waiting", "-waiting"
    page = queue_page(
        tenants,
        order=order,
        descending=sort.startswith("-"),
        number=page_number(request),
        search=search,
    )
    context = {
        "page": page,
        "columns": columns(sort),
        "sort": sort,
        "tenants": choices,
        "chosen": chosen,
        "search": search,
        "cap": queries.RANKED,
    }
    if request.GET.get("part") == "rows":
        return render(request, "dashboard/queue_rows.html", context)
    return frame(request, "dashboard/queues.html", "Queues", **context)


def page_number(request: HttpRequest) -> int:
    text = request.GET.get("page", "1")
    return min(max(int(text), 1), MAX_PAGE) if text.isdecimal() and len(text) < 9 else 1


def columns(sort: str) -> list[dict[str, str]]:
    """Headings with the sort key that a click asks for."""
    found = []
    for key, (title, _) in ORDERS.items():
        first = f"-{key}" if key in GREATEST_FIRST else key
        other = key if first.startswith("-") else f"-{key}"
        arrow = {key: "↑", f"-{key}": "↓"}.get(sort, "")
        found.append(
            {"title": title, "key": key, "sort": other if sort == first else first, "arrow": arrow}
        )
    return found


@staff_page
def queue(request: HttpRequest, domain: str) -> HttpResponse:
    """One domain: its lanes, what stops them, and the recipients whose turn comes next."""
    tenants = roles.reach(request.user)
    lanes = lane_rows(domain, tenants)
    if not lanes:
        raise Http404("No mail for this domain has been seen.")
    context = {
        "domain": domain,
        "lanes": lanes,
        "next_to_go": next_to_go([lane.lane_id for lane in lanes]),
        "suspensions": suspensions_of(request, domain, {lane.site for lane in lanes}),
    }
    if request.GET.get("part") == "lanes":
        return render(request, "dashboard/queue_lanes.html", context)
    return frame(request, "dashboard/queue.html", "Queue", **context)


def suspensions_of(request: HttpRequest, domain: str, sites: set[str]) -> list[Suspension]:
    """Suspensions in force for the domain or its sites; the reasons are for operators."""
    now = timezone.now()
    return list(
        Suspension.objects.filter(
            Q(ends_at__isnull=True) | Q(ends_at__gt=now),
            scope="site",
            key__in={domain, *filter(None, sites)},
        )
    )
