"""Delivery status notifications: the bounce that goes to the reverse path (RFC 3464, RFC 3461).

Rule 1: a notification has the null reverse path, so none is ever made for a notification.
Rule 2: it returns the header section, never the body: bounces are not a way to send mail to others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from hashlib import blake2b

from mta.mail import mime
from mta.mail.address import Address, parse_address
from mta.mail.wire import to_wire

MAX_HEAD = 64_000  # octets of the original header that go back


@dataclass(frozen=True, slots=True)
class FailedRecipient:
    """One recipient that will get nothing any more, and why."""

    #: Forward path without angle brackets.
    address: str
    #: Enhanced status "5.1.1"; see `status_of` for replies that gave none.
    status: str
    #: The reply or the local reason, one line.
    diagnostic: str
    #: Host that answered; "" when we gave up ourselves.
    remote_mta: str = ""
    #: ORCPT of RFC 3461 as it came ("rfc822;a@b.org"), or "".
    orcpt: str = ""
    #: Seconds since the epoch.
    last_attempt_at: float | None = None


def build(
    *,
    reporting_mta: str,
    original_head: bytes,
    to: str,
    recipients: Sequence[FailedRecipient],
    arrival_at: float,
    now: float,
    message_id: str,
    envid: str = "",
) -> bytes:
    """A multipart/report for the reverse path `to`, in wire form; instants in seconds since epoch.

    `reporting_mta` is our host name, `original_head` the header section of the message, `envid` the
    ENVID of RFC 3461 in plain text, `message_id` comes without angle brackets. Raises ValueError
    for a null reverse path, no recipients, or an address that is none.
    """
    if not to:
        raise ValueError("a message with the null reverse path gets no notification (RFC 5321 6.1)")
    if not recipients:
        raise ValueError("a notification needs at least one failed recipient")
    boundary = b"=_d" + blake2b(message_id.encode(), digest_size=12).hexdigest().encode()
    parts = [
        _part(b"text/plain; charset=utf-8", _told(reporting_mta, recipients)),
        b"Content-Type: message/delivery-status\r\n\r\n"
        + _status(reporting_mta, recipients, arrival_at, envid),
        _part(b"text/rfc822-headers; charset=utf-8", _head(original_head)),
    ]
    report = b"".join(b"\r\n--%b\r\n%b" % (boundary, part) for part in parts)
    return (
        _top(reporting_mta, to, now, message_id, boundary) + report + b"\r\n--%b--\r\n" % boundary
    )


def status_of(code: int, enhanced: str) -> str:
    """The status for a final failure: the peer's own, or the general one of its class (RFC 3463).

    A recipient that expired on 4xx replies has failed all the same: its 4.x.x stays, as RFC 3464
    2.3.4 allows, and tells that time was the reason.
    """
    return enhanced or ("4.0.0" if 400 <= code < 500 else "5.0.0")


def _top(reporting_mta: str, to: str, now: float, message_id: str, boundary: bytes) -> bytes:
    rows = [
        b"Date: " + _date(now),
        b"Message-ID: <%b>" % message_id.encode("ascii"),
        b"From: " + mime.mailbox("Mail Delivery System", Address("MAILER-DAEMON", reporting_mta)),
        b"To: " + mime.mailbox("", parse_address(to)),
        b"Subject: Undelivered mail returned to sender",
        b"Auto-Submitted: auto-replied",  # RFC 3834 5
        b"MIME-Version: 1.0",
        b"Content-Type: multipart/report; report-type=delivery-status;",
        b' boundary="%b"' % boundary,
        b"",
    ]
    return b"\r\n".join(rows)


def _part(content_type: bytes, wire: bytes) -> bytes:
    encoding, body = mime.encode_text(wire)
    return b"Content-Type: %b\r\nContent-Transfer-Encoding: %b\r\n\r\n%b" % (
        content_type,
        encoding,
        body,
    )


def _told(reporting_mta: str, recipients: Sequence[FailedRecipient]) -> bytes:
    """What a person reads first."""
    lines = [
        f"This is the mail system at {reporting_mta}.",
        "",
        "Your message could not be delivered to the recipients below.",
        "No further attempts will be made.",
    ]
    for recipient in recipients:
        said = f"{recipient.remote_mta} said: " if recipient.remote_mta else ""
        lines += ["", f"<{recipient.address}>", f"    {said}{recipient.diagnostic}"]
    return "".join(f"{_line(line)}\r\n" for line in lines).encode("utf-8", "replace")


def _status(
    reporting_mta: str, recipients: Sequence[FailedRecipient], arrival_at: float, envid: str
) -> bytes:
    """RFC 3464 2.1: a group for the message, a group for each recipient, all ASCII."""
    groups = [
        [
            ("Original-Envelope-Id", _xtext(envid)),
            ("Reporting-MTA", f"dns; {reporting_mta}"),
            ("Arrival-Date", _date(arrival_at).decode()),
        ]
    ]
    for recipient in recipients:
        attempt = recipient.last_attempt_at
        kind = "rfc822" if recipient.address.isascii() else "utf-8"  # RFC 6533 3
        groups.append(
            [
                ("Original-Recipient", _xtext(recipient.orcpt)),
                ("Final-Recipient", f"{kind}; {_xtext(recipient.address)}"),
                ("Action", "failed"),
                ("Status", recipient.status),
                ("Remote-MTA", recipient.remote_mta and f"dns; {recipient.remote_mta}"),
                ("Diagnostic-Code", f"smtp; {recipient.diagnostic}"),
                ("Last-Attempt-Date", "" if attempt is None else _date(attempt).decode()),
            ]
        )
    return b"\r\n".join(b"".join(_field(name, value) for name, value in group) for group in groups)


def _field(name: str, value: str) -> bytes:
    if not value:
        return b""
    plain = _line(value).encode("ascii", "replace").decode("ascii")
    words = " ".join(word[:900] for word in plain.split())
    return f"{name}: {mime.fold(words, column=len(name) + 2)}\r\n".encode("ascii")


def _xtext(address: str) -> str:
    """Non-ASCII characters as RFC 6533 3 writes them where only ASCII goes: `\\x{E9}`."""
    return "".join(
        character if character.isascii() else f"\\x{{{ord(character):X}}}" for character in address
    )


def _line(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)


def _head(original_head: bytes) -> bytes:
    """The returned header section in whole fields, as much of it as MAX_HEAD holds."""
    wire = to_wire(original_head).replace(b"\0", b"?")
    if len(wire) > MAX_HEAD:
        wire = wire[: wire.rfind(b"\r\n", 0, MAX_HEAD) + 2]
    return wire


def _date(at: float) -> bytes:
    return format_datetime(datetime.fromtimestamp(int(at), UTC)).encode("ascii")
