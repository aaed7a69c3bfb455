"""What a sender asks for: the content of a message before it is personalised, checked.

Rule 1: a Spec that exists is one that can be composed; each refusal names its field and the fix.
Rule 2: the fields that make up the envelope, the trace and the structure are ours alone.
"""

import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from mta.mail.address import AddressError, parse_mailbox
from mta.mail.mime import check_content_type, clean_value

_FIELD_NAME = re.compile(r"[!-9;-~]{1,76}")
_CONTENT_ID = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.@-]{1,200}")
#: Fields that only the composer writes.
RESERVED = frozenset(
    [
        "from", "to", "bcc", "subject", "date", "message-id", "mime-version", "received",
        "return-path", "dkim-signature", "arc-seal", "arc-message-signature", "delivered-to",
        "arc-authentication-results", "authentication-results", "reply-to",
    ]
)  # fmt: skip


class SpecError(ValueError):
    """A Spec that cannot be composed."""

    def __init__(self, reason: str, *, field: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.reason = reason
        #: "from", "html", "headers.X-Id", "attachments[0].filename".
        self.field = field


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes along; inline, for `cid:` links of the HTML, when it has a content id."""

    filename: str
    #: type/subtype with parameters.
    content_type: str
    content: bytes = field(repr=False)
    #: Without angle brackets.
    content_id: str | None = None


@dataclass(frozen=True, slots=True)
class Spec:
    """Content with templates in it: subject, text, html and header values may hold `{{ }}`."""

    #: `Name <a@b>`, not a template: it decides who may send.
    from_: str
    subject: str = ""
    text: str | None = None
    html: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    attachments: tuple[Attachment, ...] = ()
    #: `Name <a@b>` or "", not a template.
    reply_to: str = ""

    def __post_init__(self) -> None:
        for name, mailbox in (("from", self.from_), ("reply_to", self.reply_to)):
            try:
                if mailbox or name == "from":
                    parse_mailbox(mailbox)
            except AddressError as error:
                raise SpecError(error.reason, field=name) from None
        if self.text is None and self.html is None:
            raise SpecError("give text, html or both", field="text")
        for name in self.headers:
            _check_header(name)
        if len({name.lower() for name in self.headers}) != len(self.headers):
            raise SpecError("names one field twice in different case", field="headers")
        for index, attachment in enumerate(self.attachments):
            _check_attachment(attachment, f"attachments[{index}]")

    def to_json(self) -> bytes:
        """One JSON object; attachments as base64."""
        return orjson.dumps(
            {
                "from": self.from_,
                "subject": self.subject,
                "text": self.text,
                "html": self.html,
                "headers": dict(self.headers),
                "reply_to": self.reply_to,
                "attachments": [
                    {
                        "filename": item.filename,
                        "content_type": item.content_type,
                        "content": binascii.b2a_base64(item.content, newline=False).decode(),
                        "content_id": item.content_id,
                    }
                    for item in self.attachments
                ],
            }
        )

    @classmethod
    def from_json(cls, data: bytes) -> "Spec":
        """The Spec that `to_json` wrote; SpecError for any other bytes."""
        try:
            told = orjson.loads(data)
            return cls(
                from_=_text(told, "from"),
                subject=_text(told, "subject"),
                text=_optional(told, "text"),
                html=_optional(told, "html"),
                headers={str(name): _text(told["headers"], name) for name in told["headers"]},
                attachments=tuple(_attachment(item) for item in told["attachments"]),
                reply_to=_text(told, "reply_to"),
            )
        except (KeyError, TypeError, AttributeError, orjson.JSONDecodeError) as error:
            raise SpecError(f"not the JSON of a Spec: {error}", field="spec") from None


def _attachment(told: dict[str, Any]) -> Attachment:
    try:
        content = binascii.a2b_base64(_text(told, "content"), strict_mode=True)
    except binascii.Error as error:
        raise SpecError(f"not base64: {error}", field="attachments") from None
    return Attachment(
        filename=_text(told, "filename"),
        content_type=_text(told, "content_type"),
        content=content,
        content_id=_optional(told, "content_id"),
    )


def _text(told: Mapping[str, Any], name: str) -> str:
    value = told[name]
    if not isinstance(value, str):
        raise SpecError("must be a string", field=name)
    return value


def _optional(told: Mapping[str, Any], name: str) -> str | None:
    return None if told[name] is None else _text(told, name)


def _check_header(name: str) -> None:
    place = f"headers.{name}"[:100]
    if not _FIELD_NAME.fullmatch(name):
        raise SpecError("must be 1 to 76 printable ASCII characters without a colon", field=place)
    lower = name.lower()
    if lower in RESERVED or lower.startswith(("content-", "resent-")):
        raise SpecError(
            "is written by the system; there is a field of the request for it, or none", field=place
        )


def _check_attachment(attachment: Attachment, place: str) -> None:
    try:
        check_content_type(attachment.content_type)
    except ValueError as error:
        raise SpecError(str(error), field=f"{place}.content_type") from None
    if attachment.content_type.lower().startswith(("multipart/", "message/")):
        # RFC 2046 5.1, 5.2: these may not be base64; what holds messages is forwarded as a file.
        raise SpecError(
            "multipart and message types cannot be attached; use application/octet-stream",
            field=f"{place}.content_type",
        )
    try:
        clean = clean_value(attachment.filename)
    except ValueError as error:
        raise SpecError(str(error), field=f"{place}.filename") from None
    if not clean or len(clean) > 255:
        raise SpecError("must have 1 to 255 characters", field=f"{place}.filename")
    if attachment.content_id is not None and not _CONTENT_ID.fullmatch(attachment.content_id):
        raise SpecError(
            "must be 1 to 200 letters, digits or . - _ @ without angle brackets",
            field=f"{place}.content_id",
        )
