"""The whole story of a message, a recipient or an address: envelope, state, attempts, events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dashboard.event_fields import fields_of
from dashboard.finding import address_forms, id_of
from dashboard.pages.messages import attempts_of, listed, outlooks_of, states_of
from mta.control.refusal import Refused
from mta.events.models import Event
from mta.mail import ids
from mta.spool.models import Attempt, Message, Recipient

#: Latest events told of one recipient.
EVENTS = 100


@dataclass(frozen=True, slots=True)
class AttemptTold:
    """One try; `took_ms` from claim to answer."""

    number: int
    at: datetime
    outcome: str
    stage: str
    reply: str
    bounce_class: str
    rule: str
    source: str
    site: str
    mx_host: str
    mx_address: str
    tls: str
    took_ms: int


@dataclass(frozen=True, slots=True)
class RecipientTold:
    """One recipient, with what comes next and why."""

    id: str
    to: str
    state: str
    attempts: int
    next_attempt_at: datetime | None
    why: str
    last_reply: str
    bounce_class: str
    domain: str
    site: str
    source: str
    history: tuple[AttemptTold, ...]
    events: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class MessageTold:
    """One message with the recipients that were asked for; `states` counts all of them."""

    id: str
    tenant: str
    stream: str
    reverse_path: str
    from_domain: str
    subject: str
    campaign: str
    tags: Any
    metadata: Any
    origin: str
    created_at: datetime
    expires_at: datetime
    states: dict[str, int]
    recipients: tuple[RecipientTold, ...]


@dataclass(frozen=True, slots=True)
class Trace:
    """What was found, the newest message first; `more` when the limit cut it short."""

    messages: tuple[MessageTold, ...]
    more: bool


def trace(term: str, *, limit: int = 20) -> Trace:
    """The story of a message, recipient or address; Refused when there is none."""
    if limit < 1:
        raise Refused("--limit", "give at least 1.")
    rows = Recipient.objects.select_related(
        "lane", "source", "message__tenant", "message__stream"
    ).defer("substitutions")
    number, addresses = id_of(term.strip()), address_forms(term.strip())
    if number is not None:
        of_message = Message.objects.filter(pk=number).exists()
        chosen = rows.filter(message=number) if of_message else rows.filter(pk=number)
        found = list(chosen.order_by("pk")[: limit + 1])
    elif addresses:
        found = list(rows.filter(address__in=addresses).order_by("-pk")[: limit + 1])
    else:
        raise Refused(
            "ID|ADDRESS", f"{term[:80]!r} is neither an id (13 characters) nor a mail address."
        )
    if not found:
        raise Refused("ID|ADDRESS", f"nothing is known of {term[:80]!r}; old mail is removed.")
    return Trace(tuple(told(found[:limit])), len(found) > limit)


def told(rows: Sequence[Recipient]) -> list[MessageTold]:
    """The recipients under their messages, both in the order given."""
    by_message: dict[int, list[Recipient]] = {}
    for row in rows:
        by_message.setdefault(row.message_id, []).append(row)
    return [message_told(group[0].message, group) for group in by_message.values()]


def message_told(of: Message, rows: list[Recipient]) -> MessageTold:
    events = events_of(rows)
    return MessageTold(
        id=ids.encode(of.pk),
        tenant=of.tenant.name,
        stream=of.stream.name,
        reverse_path=of.reverse_path,
        from_domain=of.sender_domain,
        subject=of.subject,
        campaign=of.campaign,
        tags=listed(of.tags),
        metadata=listed(of.metadata),
        origin=of.origin,
        created_at=of.created_at,
        expires_at=of.expires_at,
        states=dict(states_of(of)),
        recipients=tuple(
            recipient_told(row, tries, next_.at, next_.why, events.get(row.pk, ()))
            for row, tries, next_ in zip(
                rows, attempts_of(rows), outlooks_of(rows, of), strict=True
            )
        ),
    )


def events_of(rows: Sequence[Recipient]) -> dict[int, tuple[dict[str, Any], ...]]:
    """The latest events of each recipient, oldest first."""
    found = Event.objects.filter(recipient_id__in=[row.pk for row in rows]).order_by("-id")
    by_recipient: dict[int, list[dict[str, Any]]] = {}
    for event in found[: EVENTS * len(rows)]:
        known = by_recipient.setdefault(event.recipient_id, [])
        known.insert(0, {"id": event.pk, "at": event.at, "kind": event.kind, **fields_of(event)})
    return {pk: tuple(known[-EVENTS:]) for pk, known in by_recipient.items()}


def recipient_told(
    row: Recipient,
    tries: Sequence[Attempt],
    at: datetime | None,
    why: str,
    events: tuple[dict[str, Any], ...],
) -> RecipientTold:
    return RecipientTold(
        id=ids.encode(row.pk),
        to=row.address,
        state=row.state,
        attempts=row.attempts,
        next_attempt_at=at,
        why=why,
        last_reply=row.last_reply,
        bounce_class=row.bounce_class,
        domain=row.lane.domain,
        site=row.lane.site,
        source=row.source.name if row.source else "",
        history=tuple(attempt_told(one) for one in tries),
        events=events,
    )


def attempt_told(one: Attempt) -> AttemptTold:
    return AttemptTold(
        number=one.number,
        at=one.at,
        outcome=one.outcome,
        stage=one.stage,
        reply=one.reply,
        bounce_class=one.bounce_class,
        rule=one.rule,
        source=one.source_name,
        site=one.site,
        mx_host=one.mx_host,
        mx_address=one.mx_address,
        tls=one.tls,
        took_ms=one.took_ms,
    )
