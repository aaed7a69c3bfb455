"""One message with its recipients, and one recipient with its attempts."""

from __future__ import annotations

import json
from typing import Any

from django.db.models import Count, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone

from dashboard import reasons, roles
from dashboard.event_fields import fields_of, reply_text
from dashboard.pages.access import frame, staff_page
from mta.api.waiting import NextAttempt
from mta.egress.models import Suspension
from mta.events.models import Event
from mta.mail import ids
from mta.policy.lifecycle import State
from mta.spool.models import Attempt, Message, Recipient

PER_PAGE = 50
EVENTS = 200
ATTEMPTS = 500


def number_of(name: str) -> int:
    """The id behind a name in a URL; Http404 when it is no name."""
    try:
        return ids.decode(name)
    except ValueError:
        raise Http404("This is not the name of a message or recipient.") from None


@staff_page
def message(request: HttpRequest, name: str) -> HttpResponse:
    """Envelope, recipients (paged by id: `?after=NAME&state=STATE`), events."""
    rows = Message.objects.select_related("tenant", "stream", "body").defer("body__content")
    found = roles.seen(request.user, rows).filter(pk=number_of(name)).first()
    if found is None:
        raise Http404("There is no such message, or it belongs to another tenant.")
    state = request.GET.get("state", "")
    recipients = page_of(found, state, request.GET.get("after", ""))
    shown = recipients[:PER_PAGE]
    context: dict[str, Any] = {
        "message": found,
        "name": ids.encode(found.pk),
        "tags": listed(found.tags),
        "metadata": listed(found.metadata),
        "expires_after": (found.expires_at - found.created_at).total_seconds(),
        "states": states_of(found),
        "state": state,
        "rows": [
            {"recipient": row, "attempts": tries, "next": plan}
            for row, tries, plan in zip(
                shown, attempts_of(shown), outlooks_of(shown, found), strict=True
            )
        ],
        "after": ids.encode(shown[-1].pk) if len(recipients) > PER_PAGE else "",
        "events": events_of(shown),
    }
    return frame(request, "dashboard/message.html", "Message", **context)


def page_of(found: Message, state: str, after: str) -> list[Recipient]:
    rows = Recipient.objects.filter(message=found).select_related("lane").defer("substitutions")
    if state in set(State):
        rows = rows.filter(state=state)
    if after:
        rows = rows.filter(pk__gt=number_of(after))
    return list(rows.order_by("pk")[: PER_PAGE + 1])


def states_of(found: Message) -> list[tuple[str, int]]:
    """How many recipients are in each state; a message has at most some thousands."""
    counted = found.recipients.order_by().values_list("state").annotate(n=Count("pk"))
    by_state = dict(counted)
    return [(state.value, by_state[state.value]) for state in State if state.value in by_state]


def attempts_of(rows: list[Recipient]) -> list[list[Attempt]]:
    """The attempts of each recipient, oldest first."""
    tries = Attempt.objects.filter(recipient__in=rows).order_by("recipient_id", "id")[:ATTEMPTS]
    by_recipient: dict[int, list[Attempt]] = {}
    for one in tries:
        by_recipient.setdefault(one.recipient_id, []).append(one)
    return [by_recipient.get(row.pk, []) for row in rows]


def events_of(rows: list[Recipient]) -> list[dict[str, Any]]:
    """The latest events of these recipients."""
    found: QuerySet[Event] = Event.objects.filter(recipient_id__in=[row.pk for row in rows])
    addresses = {row.pk: row.address for row in rows}
    return [
        {
            "event": event,
            "to": addresses.get(event.recipient_id, ""),
            "reply": reply_text(fields_of(event)),
        }
        for event in found.order_by("-id")[:EVENTS]
    ]


def outlooks_of(rows: list[Recipient], of: Message) -> list[NextAttempt]:
    """What comes next for each recipient; suspensions are read once for all of them."""
    now = timezone.now()
    names = {row.lane.domain for row in rows} | {row.lane.site for row in rows if row.lane.site}
    found = Suspension.objects.filter(
        Q(ends_at__isnull=True) | Q(ends_at__gt=now),
        Q(scope="tenant", key=of.tenant.name) | Q(scope="site", key__in=names),
    )
    in_force = list(found) if rows else []

    def stops(one: Suspension, row: Recipient) -> bool:
        return one.scope == "tenant" or one.key in {row.lane.domain, row.lane.site}

    return [reasons.outlook(row, now, [one for one in in_force if stops(one, row)]) for row in rows]


def listed(text: str) -> Any:
    """A JSON text's value; the text itself when it cannot be read."""
    try:
        return json.loads(text)
    except ValueError:
        return text


@staff_page
def recipient(request: HttpRequest, name: str) -> HttpResponse:
    """State, attempts with replies, next attempt and why, events."""
    rows = Recipient.objects.select_related(
        "message__tenant", "message__stream", "lane", "source"
    ).defer("substitutions")
    found = roles.seen(request.user, rows).filter(pk=number_of(name)).first()
    if found is None:
        raise Http404("There is no such recipient, or it belongs to another tenant.")
    context = {
        "recipient": found,
        "name": ids.encode(found.pk),
        "message": found.message,
        "message_url": reverse("dashboard:message", args=[ids.encode(found.message_id)]),
        "metadata": listed(found.metadata) if found.metadata else None,
        "attempts": attempts_of([found])[0],
        "next": outlooks_of([found], found.message)[0],
        "events": events_of([found]),
    }
    return frame(request, "dashboard/recipient.html", "Recipient", **context)
