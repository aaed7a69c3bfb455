"""Reads the state of messages and recipients of one tenant, as plain dicts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson
from django.db.models import Count, Q
from django.utils import timezone

from mta.api.problems import not_found
from mta.api.waiting import Waiting, next_attempt
from mta.egress.models import Suspension, SuspensionScope
from mta.mail.ids import encode
from mta.spool.lanes import ENGAGED
from mta.spool.models import Attempt, Message, Recipient
from mta.tenants.credentials import Caller


def iso(at: datetime | None) -> str | None:
    """RFC 3339 in UTC, milliseconds."""
    return None if at is None else at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def message(caller: Caller, message_id: int) -> dict[str, Any]:
    """One message with the number of its recipients per state."""
    found = message_row(caller, message_id)
    counted = found.recipients.order_by().values_list("state").annotate(number=Count("id"))
    states = dict(counted)
    return {
        "id": encode(found.pk),
        "reverse_path": found.reverse_path,
        "subject": found.subject,
        "stream": found.stream.name,
        "campaign": found.campaign,
        "tags": orjson.loads(found.tags),
        "metadata": orjson.loads(found.metadata),
        "created_at": iso(found.created_at),
        "expires_at": iso(found.expires_at),
        "recipients": sum(states.values()),
        "states": states,
    }


def message_row(caller: Caller, message_id: int) -> Message:
    """The message if it is the caller's; else it is not there."""
    rows = Message.objects.select_related("stream")
    found = rows.filter(tenant_id=caller.tenant_id, pk=message_id).first()
    if found is None:
        raise not_found()
    return found


def item(row: Recipient) -> dict[str, Any]:
    """A recipient as it stands in lists."""
    return {
        "id": encode(row.pk),
        "to": row.address,
        "state": row.state,
        "attempts": row.attempts,
        "next_attempt_at": iso(row.next_attempt_at),
        "last_reply": row.last_reply,
        "bounce_class": row.bounce_class,
        "updated_at": iso(row.updated_at),
    }


def recipient(caller: Caller, recipient_id: int) -> dict[str, Any]:
    """A recipient with its attempts, the next one and why it waits."""
    rows = Recipient.objects.select_related("lane", "message")
    row = rows.filter(message__tenant_id=caller.tenant_id, pk=recipient_id).first()
    if row is None:
        raise not_found()
    now = timezone.now()
    plan = next_attempt(
        Waiting(
            state=row.state,
            next_attempt_at=row.next_attempt_at,
            attempts=row.attempts,
            last_reply=row.last_reply,
            wait_until=row.lane.wait_until,
            hold_reason=row.lane.hold_reason,
            suspended=suspended(caller.tenant_name, row.lane.domain, row.lane.site, now),
        ),
        now,
    )
    return {
        **item(row),
        "message_id": encode(row.message_id),
        "metadata": orjson.loads(row.metadata) if row.metadata else {},
        "engaged": row.lane.priority == ENGAGED,
        "history": [attempt(found) for found in row.history.all()],
        "next_attempt_at": iso(plan.at),
        "why": plan.why,
    }


def suspended(tenant: str, domain: str, site: str, now: datetime) -> str:
    """The reason for which the tenant's mail to the site waits; empty when it does not."""
    sites = [domain, site] if site else [domain]
    found = Suspension.objects.filter(
        Q(scope=SuspensionScope.TENANT, key=tenant) | Q(scope=SuspensionScope.SITE, key__in=sites),
        Q(ends_at__isnull=True) | Q(ends_at__gt=now),
    ).first()
    if found is None:
        return ""
    until = f", until {iso(found.ends_at)}" if found.ends_at else ""
    return (found.reason or f"{found.scope} {found.key}") + until


def attempt(row: Attempt) -> dict[str, Any]:
    return {
        "number": row.number,
        "at": iso(row.at),
        "took_ms": row.took_ms,
        "outcome": row.outcome,
        "stage": row.stage,
        "reply": row.reply,
        "bounce_class": row.bounce_class,
        "rule": row.rule,
        "source": row.source_name,
        "site": row.site,
        "mx_host": row.mx_host,
        "mx_address": row.mx_address,
        "tls": row.tls,
    }
