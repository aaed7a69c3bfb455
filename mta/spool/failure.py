"""Delivery status notifications: one a message and batch, stored with the states that cause it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import orjson

from mta.mail import dsn
from mta.mail.address import AddressError, parse_address
from mta.mail.compose import Composer
from mta.mail.headers import split
from mta.mail.ids import encode
from mta.mail.template import TemplateError
from mta.spool import bodies, inject, lanes
from mta.spool.ids import new_id
from mta.spool.load import BODIES
from mta.spool.result import Context, Settled
from mta.spool.streams import stream_facts
from mta.storage.fields import from_ms


def report(context: Context, failed: Sequence[Settled], now: int) -> int:
    """Store the DSNs for `failed` in the caller's transaction; returns how many."""
    messages = messages_for(context, failed, now)
    store(messages, [context.lane_id])
    return len(messages)


def messages_for(context: Context, failed: Sequence[Settled], now: int) -> list[inject.NewMessage]:
    """The DSNs for `failed`, one a message."""
    by_message: dict[int, list[Settled]] = defaultdict(list)
    for one in failed:
        by_message[one.owned.message_id].append(one)
    return [m for group in by_message.values() if (m := message_for(context, group, now))]


def store(messages: Sequence[inject.NewMessage], lane_ids: Sequence[int]) -> None:
    """Store DSNs in the caller's transaction, which writes the lanes of `lane_ids` too."""
    if messages:
        # The DSNs' lanes and the caller's own, which he arms next, in one order.
        theirs = {
            (m.tenant_id, m.stream_id, to.address.domain, stream_facts(m.stream_id).priority, 0)
            for m in messages for to in m.recipients
        }  # fmt: skip
        lanes.lock(lane_ids, sorted(theirs))
        inject.store(messages, [bodies.pack(m.kind, m.content) for m in messages])


def message_for(context: Context, group: Sequence[Settled], now: int) -> inject.NewMessage | None:
    first = group[0].owned
    try:
        to = parse_address(first.reverse_path)
    except AddressError:  # taken in by an older version: nobody can be told
        return None
    message_id = new_id()
    content = dsn.build(
        reporting_mta=context.hostname,
        original_head=original_head(group[0]),
        to=first.reverse_path,
        recipients=[
            dsn.FailedRecipient(
                address=one.owned.address,
                diagnostic=one.reason,
                status=status_of_failure(one),
                orcpt=one.owned.orcpt,
                remote_mta=one.result.mx_host,
            )
            for one in group
        ],
        arrival_at=first.created_at / 1000,
        now=now / 1000,
        message_id=f"{encode(message_id)}@{context.hostname}",
        envid=first.envid,
    )
    return inject.NewMessage(
        tenant_id=context.tenant_id,
        stream_id=context.stream_id,
        reverse_path="",
        sender_domain=context.hostname,
        content=content,
        kind="raw",
        recipients=[inject.NewRecipient(to)],
        origin="dsn",
        subject="Undelivered mail",
        message_id=message_id,
    )


def status_of_failure(one: Settled) -> str:
    """The peer's status; 4.4.7 where time ran out without one (RFC 3463 3.5)."""
    if one.bounce_class == "expired" and not one.result.enhanced:
        return "4.4.7"
    return dsn.status_of(one.result.code, one.result.enhanced)


def original_head(one: Settled) -> bytes:
    """The header section of the message as this recipient would have got it."""
    owned = one.owned
    try:
        content = BODIES.get([owned.body_id])[owned.body_id]
    except LookupError:  # the body is lost: the report is all the sender will get
        return b""
    if not isinstance(content, Composer):
        return split(content)[0]
    values = orjson.loads(bytes(owned.substitutions)) if owned.substitutions else {}
    try:
        whole = content.render(
            to=owned.address,
            substitutions=values,
            date=from_ms(owned.created_at),
            message_id=f"{encode(owned.recipient_id)}@{owned.sender_domain}",
        )
    except TemplateError:  # checked at injection; a report must not fail for it
        return b""
    return split(whole)[0]
