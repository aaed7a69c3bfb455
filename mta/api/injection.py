"""POST messages, step by step: read, check, count, store; answer only what is on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson
from django.db import IntegrityError
from django.utils import timezone

from mta.api import content, quota, recipients
from mta.api.idempotency import Key, KeyTaken
from mta.api.problems import Problem, invalid
from mta.api.recipients import Read
from mta.api.submission import REQUEST
from mta.mail.address import Address
from mta.mail.ids import encode
from mta.spool.hooked import InjectRejected, InjectUnsettled, injected
from mta.spool.ids import new_id
from mta.spool.inject import Accepted, NewMessage, inject
from mta.spool.quota import give_back
from mta.tenants.credentials import Caller
from mta.tenants.models import Stream
from mta.tenants.senders import StreamUnknown, sender_domains, stream_for


def accept(caller: Caller, data: Any, key: Key | None) -> bytes:
    """Store the message that the request describes; the JSON of the answer. Problem otherwise."""
    refuse_suspended(caller)
    if key is not None and (known := key.known_answer()) is not None:
        return known.encode()
    values: dict[str, Any] = REQUEST.run_validation(data)
    message, read = prepare(caller, values)
    return store(caller, as_policy_says(message), read, key)


def as_policy_says(message: NewMessage) -> NewMessage:
    """The message as the operator's `inject` hook wants it; Problem when it is not wanted."""
    try:
        return injected(message)
    except InjectRejected as rejected:
        raise Problem("policy-rejected", str(rejected)) from None
    except InjectUnsettled as unsettled:
        raise Problem("unavailable", str(unsettled), headers={"Retry-After": "60"}) from None


def refuse_suspended(caller: Caller) -> None:
    if caller.suspended:
        raise Problem(
            "tenant-suspended",
            f"Tenant {caller.tenant_name} may not hand in mail now: ask the operator why.",
        )


def prepare(caller: Caller, values: Mapping[str, Any]) -> tuple[NewMessage, Read]:
    """Everything that can be refused before the database is written."""
    now = timezone.now()
    message_id = new_id()
    if "raw" in values:
        said = content.raw("raw", values["raw"].encode(), message_id, now)
    elif "raw_base64" in values:
        said = content.raw("raw_base64", values["raw_base64"], message_id, now)
    else:
        said = content.built(values, now)
    reverse_path = reverse_path_of(values, said.senders)
    content.check_senders(said.senders, reverse_path, sender_domains(caller.tenant_id))
    stream = stream_of(caller, values)
    read = recipients.read(values["recipients"], said.check)
    refuse_unusable(read)
    send_at, expires_at = values.get("send_at"), values.get("expires_at")
    message = NewMessage(
        tenant_id=caller.tenant_id,
        stream_id=stream.pk,
        reverse_path=str(reverse_path or ""),
        sender_domain=said.senders[0].domain,
        content=said.body,
        kind=said.kind,
        recipients=read.accepted,
        origin="api",
        subject=said.subject,
        campaign=values.get("campaign", ""),
        tags=values.get("tags", ()),
        metadata=values.get("metadata", {}),
        send_at=send_at.timestamp() if send_at else None,
        expires_at=expires_at.timestamp() if expires_at else None,
        smtputf8=any(address.needs_smtputf8 for address in said.senders),
        message_id=message_id,
    )
    return message, read


def reverse_path_of(values: Mapping[str, Any], senders: tuple[Address, ...]) -> Address | None:
    """What was asked for, else the sender; None is the null path."""
    if "reverse_path" in values:
        found: Address | None = values["reverse_path"]
        return found
    return values["from"][1] if "from" in values else senders[0]


def stream_of(caller: Caller, values: Mapping[str, Any]) -> Stream:
    try:
        return stream_for(caller.tenant_id, values.get("stream", ""))
    except StreamUnknown as error:
        raise invalid("stream", str(error)) from None


def refuse_unusable(read: Read) -> None:
    """Problem when the request is wrong for somebody, or right for nobody."""
    if read.errors:
        first = read.errors[0]
        raise Problem("invalid", f"{first['field']}: {first['detail']}", errors=read.errors)
    if not read.accepted:
        first = read.rejected[0]
        raise Problem(
            "all-rejected",
            f"recipients[0].to: {first['reason']} Nothing was stored.",
            rejected=read.rejected[: recipients.MAX_ERRORS],
        )


@dataclass(slots=True)
class Answer:
    """The JSON that is given, made inside the transaction so that the key can keep it."""

    read: Read
    key: Key | None
    body: bytes = b""

    def __call__(self, accepted: list[Accepted]) -> None:
        (one,) = accepted
        self.body = orjson.dumps(
            {
                "id": encode(one.message_id),
                "accepted": len(one.recipient_ids),
                "suppressed": len(one.suppressed),
                "rejected": self.read.rejected,
            }
        )
        if self.key is not None:
            self.key.store(self.body.decode())


def store(caller: Caller, message: NewMessage, read: Read, key: Key | None) -> bytes:
    """Count the recipients and write them in one transaction with the key."""
    count = len(message.recipients)
    taken = quota.take(caller.tenant_id, count, timezone.now())
    answer = Answer(read, key)
    try:
        write(message, answer)
    except Exception as error:
        give_back(taken, count)
        if isinstance(error, KeyTaken) and key is not None:
            # A request with the same key committed between our look and our write.
            known = key.known_answer()
            if known is not None:
                return known.encode()
        raise
    return answer.body


def write(message: NewMessage, answer: Answer) -> None:
    """Into the spool; Problem when the values cannot be written."""
    try:
        inject([message], also=answer)
    except IntegrityError:
        # Another process drew the same ids (mta.spool.ids): once more, with new ones.
        inject([replace(message, message_id=new_id())], also=answer)
    except orjson.JSONEncodeError:
        raise invalid(
            "recipients", "Substitutions must not be nested deeper than 250 levels."
        ) from None
