"""Rows to look at: messages, recipients, attempts and events of a tenant, without any delivery."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Any

from django.utils import timezone

from mta.events.models import Event
from mta.policy.lifecycle import WAITING, State
from mta.spool.ids import new_id
from mta.spool.models import Attempt, Body, Claim, Lane, Message, Recipient
from mta.tenants.models import Stream


def lane(stream: Stream, domain: str, **values: Any) -> Lane:
    values.setdefault("due_at", timezone.now())
    found, _ = Lane.objects.update_or_create(
        tenant=stream.tenant, stream=stream, domain=domain, defaults={"priority": 0, **values}
    )
    return found


def message(stream: Stream, **values: Any) -> Message:
    digest = hashlib.sha256(b"content").hexdigest()
    body, _ = Body.objects.get_or_create(
        digest=digest,
        defaults=dict[str, Any](kind="raw", content=b"z", size=7, created_at=timezone.now()),
    )
    now = timezone.now()
    return Message.objects.create(
        **{
            "id": new_id(),
            "tenant": stream.tenant,
            "stream": stream,
            "body": body,
            "reverse_path": "bounces@acme.test",
            "sender_domain": "acme.test",
            "subject": "Hello",
            "origin": "api",
            "created_at": now,
            "expires_at": now + timedelta(days=1),
            **values,
        }
    )


def recipient(of: Message, address: str, state: str = "scheduled", **values: Any) -> Recipient:
    domain = address.rpartition("@")[2]
    queue = Lane.objects.filter(stream=of.stream, domain=domain).first() or lane(of.stream, domain)
    if state in WAITING:
        values.setdefault("next_attempt_at", timezone.now())
    if state == State.CLAIMED:
        values.setdefault("claim_token", new_id())
        ends_at: Any = timezone.now() + timedelta(minutes=2)
        Claim.objects.create(token=values["claim_token"], lane=queue, ends_at=ends_at)
    return Recipient.objects.create(
        **{
            "id": new_id(),
            "message": of,
            "lane": queue,
            "address": address,
            "state": state,
            "updated_at": timezone.now(),
            **values,
        }
    )


def attempt(to: Recipient, reply: str, outcome: str = "deferred", **values: Any) -> Attempt:
    number = to.history.count() + 1
    return Attempt.objects.create(
        **{
            "recipient": to,
            "number": number,
            "at": timezone.now(),
            "took_ms": 120,
            "outcome": outcome,
            "stage": "dot",
            "reply": reply,
            "mx_host": "mx.test",
            **values,
        }
    )


def event(to: Recipient, kind: str, **values: Any) -> Event:
    data = {"to": to.address, "reply": {"code": 451, "enhanced": "4.7.1", "text": "later"}}
    return Event.objects.create(
        **{
            "at": timezone.now(),
            "kind": kind,
            "tenant": to.message.tenant,
            "message_id": to.message_id,
            "recipient_id": to.pk,
            "data": json.dumps(data),
            **values,
        }
    )
