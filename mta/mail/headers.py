"""The header section of a message, byte for byte.

Rule 1: what is not added or removed on purpose stays as it came, folding and case included.
Rule 2: input is in wire form (CRLF line ends), see wire.py.
Rule 3: the header section ends at the blank line, or before the first line that is no field.
"""

import ipaddress
import re
from datetime import datetime
from email.utils import format_datetime
from functools import lru_cache

from mta.mail.address import Address, AddressError, parse_mailbox_list

_FIELD = re.compile(rb"((?:([!-9;-~]+)[ \t]*:)?[^\n]*\n(?:[ \t][^\n]*\n)*)")
_UNSAFE = re.compile(r"[^A-Za-z0-9.:\[\]_-]")
_DROPPED = frozenset({b"bcc", b"resent-bcc"})
_POSTMARK = re.compile(rb">?From [^\n]*\n")
_COLON = ord(":")
#: From fields up to this length are remembered: a sender uses few, again and again.
_REMEMBERED = 500

#: (lower-case name, whole field with folding and CRLF); the name is b"" where the line is no field.
Field = tuple[bytes, bytes]


def split(raw: bytes) -> tuple[bytes, bytes]:
    """(header section with its last CRLF, body); the blank line between belongs to neither."""
    if raw.startswith(b"\r\n"):
        return b"", raw[2:]
    end = raw.find(b"\r\n\r\n")
    if end < 0:
        return raw, b""
    return raw[: end + 2], raw[end + 4 :]


def fields(head: bytes) -> list[Field]:
    """The fields of a header section in order; joined, they are the header section again."""
    if head and not head.endswith(b"\n"):
        head += b"\r\n"
    return [(name.lower(), field) for field, name in _FIELD.findall(head)]


def value(field: bytes) -> bytes:
    """What a whole field says: name removed, unfolded, outer blanks removed."""
    return field.partition(b":")[2].replace(b"\r\n", b"").strip(b" \t")


def complete(raw: bytes, *, date: datetime, message_id: str, received: bytes = b"") -> bytes:
    """The message as it leaves: `received` on top, missing Date and Message-ID added, Bcc gone.

    `message_id` is given without angle brackets. A header section that runs into the body without
    a blank line gets one there, and a leading mbox "From " line goes, as sendmail does. So does the
    obsolete blank before a colon (RFC 5322 4.5.8): no DKIM verifier finds such a field.
    """
    kept, body = completed(raw, date=date, message_id=message_id)
    return received + joined(kept, body)


def completed(raw: bytes, *, date: datetime, message_id: str) -> tuple[list[Field], bytes]:
    """`complete` before it is put together: (fields, body)."""
    postmark = _POSTMARK.match(raw)
    if postmark:
        raw = raw[postmark.end() :]
    head, body = split(raw)
    found = fields(head)
    names = {name for name, _ in found}
    if b"" in names:
        end = next(index for index, (name, _) in enumerate(found) if not name)
        body = b"".join(field for _, field in found[end:]) + raw[len(head) :]
        del found[end:]
        names = {name for name, _ in found}
    added: list[Field] = []
    if b"date" not in names:
        added.append((b"date", b"Date: %b\r\n" % _instant(date).encode("ascii")))
    if b"message-id" not in names:
        added.append((b"message-id", b"Message-ID: <%b>\r\n" % message_id.encode("ascii")))
    for name, field in found:
        if name not in _DROPPED:
            whole = field if field[len(name)] == _COLON else _modern(name, field)
            added.append((name, whole))
    return added, body


def joined(kept: list[Field], body: bytes) -> bytes:
    """The message of these fields."""
    return b"".join([*[field for _, field in kept], b"\r\n", body])


def count_hops(raw: bytes) -> int:
    """How many Received fields there are; many mean a loop (RFC 5321 6.3)."""
    return sum(name == b"received" for name, _ in fields(split(raw)[0]))


def from_addresses(raw: bytes) -> list[Address]:
    """The addresses of the From field; [] when it is absent, doubled or not plainly readable."""
    found = [field for name, field in fields(split(raw)[0]) if name == b"from"]
    return list(addresses_of(found[0])) if len(found) == 1 else []


def addresses_of(field: bytes) -> tuple[Address, ...]:
    """The addresses in a whole address field; empty when it is not plainly readable."""
    return _remembered(field) if len(field) <= _REMEMBERED else _addresses(field)


def _addresses(field: bytes) -> tuple[Address, ...]:
    try:
        return tuple(parse_mailbox_list(value(field).decode("utf-8")))
    except (AddressError, UnicodeDecodeError):
        return ()


_remembered = lru_cache(maxsize=1024)(_addresses)


def received_field(
    *, helo: str, peer: str, by: str, protocol: str, queue_id: str, at: datetime, for_: str | None
) -> bytes:
    """The trace field of RFC 5321 4.4, folded.

    `peer` is the client's IP address or other name of it; `helo` is whatever it claimed; `for_` is
    the forward path when there is one recipient, else None. Nothing given can break the field.
    """
    recipient = f"\r\n\tfor <{_printable(for_)}>" if for_ else ""
    begin = _received_begin(helo, peer, by, protocol)
    return f"{begin}{_safe(queue_id)}{recipient};\r\n\t{_instant(at)}\r\n".encode()


@lru_cache(maxsize=1024)
def _received_begin(helo: str, peer: str, by: str, protocol: str) -> str:
    """What is the same for all messages of a session."""
    return (
        f"Received: from {_safe(helo) or 'unknown'} ({_literal(peer)})\r\n"
        f"\tby {_safe(by)} (Mailmill) with {_safe(protocol)} id "
    )


def _instant(at: datetime) -> str:
    """RFC 5322 3.3, of which there is one a second however many messages come."""
    return _formatted(at.replace(microsecond=0) if at.microsecond else at)


_formatted = lru_cache(maxsize=8)(format_datetime)


def _modern(name: bytes, field: bytes) -> bytes:
    if field[len(name) : len(name) + 1] == b":":
        return field
    return field[: len(name)] + field[field.index(b":") :]


def _safe(text: str) -> str:
    return _UNSAFE.sub("?", text[:255])


def _printable(text: str) -> str:
    text = text[:256]
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else "?" for character in text)


def _literal(peer: str) -> str:
    try:
        ip = ipaddress.ip_address(peer)
    except ValueError:
        return _safe(peer) or "unknown"
    return f"[IPv6:{ip}]" if ip.version == 6 else f"[{ip}]"
