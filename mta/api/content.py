"""What a message says: parts to be composed per recipient, or raw, ready for the spool."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from typing import Any

from django.conf import settings

from mta.api.problems import Problem, invalid
from mta.api.recipients import Check
from mta.api.submission import check_size
from mta.mail import wire
from mta.mail.address import Address
from mta.mail.compose import Attachment, Composer, Spec, SpecError
from mta.mail.headers import complete, count_hops, fields, from_addresses, split, value
from mta.mail.ids import encode
from mta.mail.template import TemplateError

#: RFC 5321 6.3: a message that was handed on so often goes round in a circle.
MAX_HOPS = 100
#: Stands for the recipient while templates are tried: To holds no template.
ANYBODY = "anybody@invalid"


@dataclass(frozen=True, slots=True)
class Content:
    """Content as the spool keeps it; `check` tries it for one recipient's substitutions."""

    kind: str
    body: bytes
    #: The addresses in From.
    senders: tuple[Address, ...]
    subject: str
    check: Check | None


def built(values: Mapping[str, Any], now: datetime) -> Content:
    """A message from parts; Problem when a part or a template does not fit."""
    text, sender = values["from"]
    try:
        spec = Spec(
            from_=text,
            subject=values["subject"],
            text=values.get("text") or None,
            html=values.get("html") or None,
            headers=values.get("headers", {}),
            attachments=tuple(
                Attachment(a["filename"], a["content_type"], a["content"], a.get("content_id"))
                for a in values.get("attachments", ())
            ),
            reply_to=values["reply_to"][0] if "reply_to" in values else "",
        )
        check = Trial(spec, now)
    except (SpecError, TemplateError) as error:
        raise invalid(error.field, f"{error.reason}.") from None
    return Content("template", spec.to_json(), (sender,), spec.subject, check)


class Trial:
    """Tries a Spec for one recipient after another, to see that it can be rendered and sent."""

    def __init__(self, spec: Spec, now: datetime) -> None:
        """TemplateError when a template cannot be compiled."""
        # Attachments are the same for all: they are composed once, to know their size.
        self.composer = Composer(dataclasses.replace(spec, attachments=()))
        attached = sum(len(one.content) for one in spec.attachments) * 78 // 57
        if spec.attachments:
            Composer(spec)
        self.now = now
        self.attached = attached
        self.room = settings.MAILMILL.max_message_bytes - attached
        self.plain_checked = False

    def __call__(self, substitutions: Mapping[str, Any]) -> None:
        if not substitutions:
            if self.plain_checked:  # the same for everybody without substitutions
                return
            self.plain_checked = True
        if self.composer.check(substitutions) > self.room:  # no more than a bound: look closely
            wire = self.composer.render(
                to=ANYBODY, substitutions=substitutions, date=self.now, message_id="0@invalid"
            )
            check_size(len(wire) + self.attached)


def raw(name: str, given: bytes, message_id: int, now: datetime) -> Content:
    """A message as it was given in `name`, completed; Problem when it cannot be sent."""
    check_size(len(given))
    message = wire.to_wire(given)
    reason = wire.check(message)
    if reason:
        raise invalid(name, f"{reason}; remove it.")
    if count_hops(message) > MAX_HOPS:
        raise invalid(name, f"More than {MAX_HOPS} Received fields: the message goes in a circle.")
    senders = tuple(from_addresses(message))
    if not senders:
        raise invalid(name, "Needs one From field with an address such as news@shop.example.")
    name_of_message = f"{encode(message_id)}@{senders[0].domain}"
    message = complete(message, date=now.replace(microsecond=0), message_id=name_of_message)
    check_size(len(message))
    return Content("raw", message, senders, subject_of(message), None)


def subject_of(message: bytes) -> str:
    """The Subject as people read it, for lists; empty when there is none that can be read."""
    for name, field in fields(split(message)[0]):
        if name == b"subject":
            try:
                words = decode_header(value(field).decode("utf-8", "replace"))
                text = str(make_header(words))
            except (LookupError, ValueError, HeaderParseError):
                return ""
            return "".join(character for character in text if character.isprintable())[:200]
    return ""


def check_senders(
    senders: tuple[Address, ...], reverse_path: Address | None, allowed: frozenset[str]
) -> None:
    """Problem 403 when From or the reverse path names a domain that is not the tenant's."""
    names = {"from": senders, "reverse_path": (reverse_path,) if reverse_path else ()}
    for field, addresses in names.items():
        for address in addresses:
            if address.domain not in allowed:
                raise Problem(
                    "sender-not-allowed",
                    f"{address.domain} is not a sending domain of your tenant: add it with "
                    "POST /api/v1/domains, or send as one that is.",
                    errors=[{"field": field, "detail": f"Domain {address.domain} is not yours."}],
                )
