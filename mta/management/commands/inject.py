"""Hands in a message from a file, as sendmail does: inject --from A --to B FILE."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from mta.api import content
from mta.api.problems import Problem
from mta.mail.address import Address, AddressError, parse_address, parse_mailbox_list
from mta.mail.headers import fields, split, value
from mta.mail.ids import encode
from mta.mail.wire import to_wire
from mta.spool import quota
from mta.spool.hooked import InjectRejected, InjectUnsettled, injected
from mta.spool.ids import new_id
from mta.spool.inject import Accepted, NewMessage, NewRecipient, inject
from mta.spool.quota import OverQuota
from mta.tenants.senders import StreamUnknown, owner_of, stream_for

#: sysexits.h, which callers of sendmail know.
EX_DATAERR, EX_NOINPUT, EX_TEMPFAIL, EX_NOPERM = 65, 66, 75, 77
RECIPIENT_FIELDS = {b"to", b"cc", b"bcc"}


class Command(BaseCommand):
    help = "Hand in a message (RFC 5322) from a file; it is on disk when the id is printed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", metavar="FILE", help="- is the standard input")
        parser.add_argument(
            "--from",
            dest="reverse_path",
            metavar="ADDRESS",
            help="envelope sender; default: the From field; '<>': the null path",
        )
        parser.add_argument(
            "--to",
            action="append",
            default=[],
            metavar="ADDRESS",
            help="recipient; may be given again",
        )
        parser.add_argument(
            "-t",
            action="store_true",
            dest="read_recipients",
            help="take recipients from To, Cc and Bcc too",
        )
        parser.add_argument("--stream", default="", help="default: the tenant's default stream")
        parser.add_argument("--campaign", default="", help="what cancel and suspend know it by")
        parser.add_argument(
            "--engaged", action="store_true", help="of bulk mail, the recipients go first"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_: Any, file: str, **options: Any) -> None:
        given = read(file)
        message_id = new_id()
        try:
            said = content.raw("FILE", given, message_id, timezone.now())
        except Problem as problem:
            raise CommandError(problem.detail, returncode=EX_DATAERR) from None
        message = envelope(said, given, message_id, options)
        (accepted,) = counted(message)
        answer = {
            "id": encode(accepted.message_id),
            "accepted": len(accepted.recipient_ids),
            "suppressed": len(accepted.suppressed),
        }
        self.stdout.write(json.dumps(answer) if options["json"] else str(answer["id"]))


def counted(message: NewMessage) -> list[Accepted]:
    """Store the message; CommandError when policy or the tenant's quota are against it."""
    try:
        message = injected(message)
    except InjectRejected as rejected:
        raise CommandError(str(rejected), returncode=EX_NOPERM) from None
    except InjectUnsettled as unsettled:
        raise CommandError(str(unsettled), returncode=EX_TEMPFAIL) from None
    count = len(message.recipients)
    try:
        taken = quota.take(message.tenant_id, count, timezone.now())
    except OverQuota as over:
        raise CommandError(
            f"{over} Try again in {over.retry_in} s.", returncode=EX_TEMPFAIL
        ) from None
    try:
        return inject([message])
    except Exception:
        quota.give_back(taken, count)
        raise


def read(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise CommandError(
            f"{file}: {error.strerror}; give a readable file, or - for the standard input.",
            returncode=EX_NOINPUT,
        ) from None


def envelope(
    said: content.Content, given: bytes, message_id: int, options: dict[str, Any]
) -> NewMessage:
    """The message with the tenant that its From belongs to; CommandError names what is wrong."""
    sender = said.senders[0]
    reverse_path = reverse_path_of(options["reverse_path"], sender)
    owner = owner_of(sender.domain)
    senders = [*said.senders, *([reverse_path] if reverse_path else [])]
    for address in senders:
        found = owner_of(address.domain)
        if owner is None or found is None or found.tenant_id != owner.tenant_id:
            raise CommandError(
                f"{address.domain} is no sending domain of "
                f"{owner.tenant_name if owner else 'any tenant'}: add it with create_tenant "
                "--domain, or send as one that is.",
                returncode=EX_NOPERM,
            )
    if owner is None or owner.suspended:
        raise CommandError("The tenant is suspended: resume it first.", returncode=EX_NOPERM)
    try:
        stream = stream_for(owner.tenant_id, options["stream"])
    except StreamUnknown as error:
        raise CommandError(f"--stream: {error}") from None
    return NewMessage(
        tenant_id=owner.tenant_id,
        stream_id=stream.pk,
        reverse_path=str(reverse_path or ""),
        sender_domain=sender.domain,
        content=said.body,
        kind=said.kind,
        recipients=[
            NewRecipient(address, engaged=options["engaged"])
            for address in recipients(given, options)
        ],
        campaign=options["campaign"][:128],
        origin="command",
        subject=said.subject,
        smtputf8=any(address.needs_smtputf8 for address in senders),
        message_id=message_id,
    )


def reverse_path_of(text: str | None, sender: Address) -> Address | None:
    if text in {"", "<>"}:
        return None
    return sender if text is None else parsed(text, "--from")


def recipients(given: bytes, options: dict[str, Any]) -> list[Address]:
    """Each address once, in the order given."""
    found = [parsed(text, "--to") for text in options["to"]]
    if options["read_recipients"]:
        for name, field in fields(split(to_wire(given))[0]):
            if name in RECIPIENT_FIELDS:
                found += listed(name.decode(), field)
    if not found:
        raise CommandError("Nobody to send to: give --to ADDRESS, or -t with To, Cc or Bcc.")
    return list(dict.fromkeys(found))


def listed(name: str, field: bytes) -> list[Address]:
    text = value(field).decode("utf-8", "replace")
    try:
        return parse_mailbox_list(text) if text else []
    except AddressError as error:
        raise CommandError(
            f"{name.capitalize()} field: {error.reason}; correct it, or give --to instead of -t.",
            returncode=EX_DATAERR,
        ) from None


def parsed(text: str, option: str) -> Address:
    try:
        return parse_address(text)
    except AddressError as error:
        raise CommandError(
            f"{option}: {text[:80]!r} is no mail address ({error.reason}); "
            "give one such as ann@customer.example."
        ) from None
