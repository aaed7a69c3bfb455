"""Messages from a Spec: compiled once, rendered per recipient, in wire form (RFC 5322, RFC 2045).

Rule 1: nothing a sender or a recipient's values hold can start a header field or a body part.
Rule 2: the same arguments give the same bytes; boundaries come from the Message-ID.
Rule 3: what recipients share is encoded once, when the Composer is made.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache, partial
from hashlib import blake2b
from typing import Any

from mta.mail import mime
from mta.mail.address import AddressError, parse_mailbox, split_mailboxes
from mta.mail.spec import Attachment, Spec, SpecError
from mta.mail.template import Compiled, TemplateError, compile_template

__all__ = ["Attachment", "Composer", "Spec", "SpecError", "TemplateError"]

#: Fields that hold addresses: their values are read and written anew.
_ADDRESS_FIELDS = frozenset({"cc", "sender", "errors-to", "disposition-notification-to"})
#: Fields with a grammar in which RFC 2047 words have no place.
_STRUCTURED = frozenset(
    [
        "in-reply-to", "references", "auto-submitted", "precedence", "importance", "priority",
        "x-priority", "feedback-id", "cfbl-address", "cfbl-feedback-id", "list-post", "list-owner",
        "list-archive", "list-help", "list-subscribe", "list-unsubscribe", "list-unsubscribe-post",
    ]
)  # fmt: skip
_ID = re.compile(r"[!-;=?-~]{1,900}")


class Composer:
    """One Spec, ready to be rendered for many recipients; keep it while the Spec is used."""

    def __init__(self, spec: Spec) -> None:
        """Raises TemplateError for a template that cannot be compiled."""
        name, address = parse_mailbox(spec.from_)
        self._from = b"From: " + _told(partial(mime.mailbox, column=6), "from", name, address)
        if spec.reply_to:
            name, address = parse_mailbox(spec.reply_to)
            reply_to = _told(partial(mime.mailbox, column=10), "reply_to", name, address)
            self._from += b"\r\nReply-To: " + reply_to
        self._subject = compile_template(spec.subject, html=False, field="subject")
        self._headers = [
            (
                name.encode("ascii") + b": ",
                _encoder(name),
                compile_template(value, html=False, field=f"headers.{name}"),
            )
            for name, value in spec.headers.items()
        ]
        self._text = _optional(spec.text, html=False, field="text")
        self._html = _optional(spec.html, html=True, field="html")
        inline = [item for item in spec.attachments if item.content_id]
        self._related = [_attached(item) for item in inline] if spec.html is not None else []
        self._mixed = [
            _attached(item) for item in spec.attachments if not (item.content_id and self._related)
        ]

    def render(
        self, *, to: str, substitutions: Mapping[str, Any], date: datetime, message_id: str
    ) -> bytes:
        """The message for one recipient, in wire form.

        `to` is `Name <a@b>` or `a@b`; `message_id` comes without angle brackets. A header of the
        Spec that renders empty is left out. Raises
        TemplateError, whose field says where and whose variable is the one without a value.
        """
        parts: list[bytes] = []
        if self._text is not None:
            parts.append(_text_part(self._text, b"plain", substitutions))
        seed = blake2b(message_id.encode(), digest_size=12).hexdigest().encode("ascii")
        if self._html is not None:
            html = _text_part(self._html, b"html", substitutions)
            parts.append(_multipart(b"related", b"=_r" + seed, [html, *self._related]))
        content = _multipart(b"alternative", b"=_a" + seed, parts)
        content = _multipart(b"mixed", b"=_m" + seed, [content, *self._mixed])
        subject = _encoded(self._subject, substitutions, partial(mime.unstructured, column=9))
        rows = [
            _date_row(date.replace(microsecond=0)),
            b"Message-ID: <%b>" % _checked_id(message_id),
            self._from,
            _told(_to_row, "to", to),
            b"Subject: " + subject,
        ]
        for name, encode, template in self._headers:
            value = _encoded(template, substitutions, encode)
            if value:  # so that a template can leave its field out
                rows.append(name + value)
        rows.append(b"MIME-Version: 1.0")
        rows.append(content)
        message = b"\r\n".join(rows)
        return message if message.endswith(b"\r\n") else message + b"\r\n"


def _optional(source: str | None, *, html: bool, field: str) -> Compiled | None:
    return None if source is None else compile_template(source, html=html, field=field)


def _told(encode: Callable[..., bytes], field: str, *values: Any) -> bytes:
    """`encode(*values)`, its ValueError told as the fault of `field`."""
    try:
        return encode(*values)
    except ValueError as error:
        reason = error.reason if isinstance(error, AddressError) else str(error)
        raise TemplateError(reason, field=field) from None


def _encoded(
    template: Compiled, substitutions: Mapping[str, Any], encode: Callable[..., bytes]
) -> bytes:
    return _told(encode, template.field, template.render(substitutions))


def _encoder(name: str) -> Callable[..., bytes]:
    lower, column = name.lower(), len(name) + 2
    if lower in _ADDRESS_FIELDS:
        return _addresses
    return partial(mime.structured if lower in _STRUCTURED else mime.unstructured, column=column)


def _addresses(text: str) -> bytes:
    """A list of mailboxes, one a line."""
    mailboxes = [parse_mailbox(part) for part in split_mailboxes(mime.clean_value(text))]
    return b",\r\n ".join(mime.mailbox(name, address) for name, address in mailboxes)


def _to_row(to: str) -> bytes:
    return b"To: " + mime.mailbox(*parse_mailbox(to), column=4)


@lru_cache(maxsize=16)
def _date_row(date: datetime) -> bytes:
    return b"Date: " + format_datetime(date).encode("ascii")


def _checked_id(message_id: str) -> bytes:
    if not _ID.fullmatch(message_id):
        raise ValueError("message_id must be printable ASCII without blanks or angle brackets")
    return message_id.encode("ascii")


def _text_part(template: Compiled, subtype: bytes, substitutions: Mapping[str, Any]) -> bytes:
    text = template.render(substitutions)
    if "\r" in text:  # from a value: templates have LF only
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    try:
        wire = text.replace("\n", "\r\n").encode()
    except UnicodeEncodeError:
        raise TemplateError("holds half a character (a surrogate)", field=template.field) from None
    encoding, body = mime.encode_text(wire)
    return b"Content-Type: text/%b; charset=utf-8\r\nContent-Transfer-Encoding: %b\r\n\r\n%b" % (
        subtype,
        encoding,
        body,
    )


def _attached(item: Attachment) -> bytes:
    disposition = b"attachment"
    content_id = b""
    if item.content_id:
        disposition = b"inline"
        content_id = f"Content-ID: <{item.content_id}>\r\n".encode("ascii")
    return (
        b"Content-Type: %b\r\nContent-Transfer-Encoding: base64\r\n%b"
        b"Content-Disposition: %b%b\r\n\r\n%b"
        % (
            mime.fold(item.content_type, column=14).encode("ascii"),
            content_id,
            disposition,
            mime.parameter("filename", item.filename),
            mime.base64_lines(item.content).removesuffix(b"\r\n"),
        )
    )


def _multipart(subtype: bytes, boundary: bytes, parts: list[bytes]) -> bytes:
    """The parts under one multipart, or the only part as it is.

    No part can hold the boundary: it begins with `=_`, which neither base64 nor quoted-printable
    can spell and 7bit is not chosen for (mime.encode_text).
    """
    if len(parts) == 1:
        return parts[0]
    delimiter = b"\r\n--" + boundary + b"\r\n"
    return b'Content-Type: multipart/%b;\r\n boundary="%b"\r\n%b%b\r\n--%b--\r\n' % (
        subtype,
        boundary,
        delimiter,
        delimiter.join(parts),
        boundary,
    )
