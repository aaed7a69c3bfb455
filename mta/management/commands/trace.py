"""`manage.py trace ID|ADDRESS`: the whole story of a message, a recipient or an address."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from dashboard.display import ago
from dashboard.event_fields import reply_text
from dashboard.explain_trace import AttemptTold, MessageTold, RecipientTold, Trace, trace
from mta.control.refusal import Refused
from mta.management.output import as_json, printable


class Command(BaseCommand):
    help = "Tell the story of a message or recipient (by id), or of an address."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("term", metavar="ID|ADDRESS", help="id of 13 characters, or address")
        parser.add_argument("--limit", type=int, default=20, help="most recipients; default 20")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_: Any, term: str, limit: int, **options: Any) -> None:
        try:
            found = trace(term, limit=limit)
        except Refused as refused:
            raise CommandError(str(refused)) from None
        if options["json"]:
            self.stdout.write(as_json(found))
        else:
            self.stdout.write("\n".join(printable(line) for line in as_lines(found)))


def as_lines(found: Trace) -> Iterator[str]:
    for message in found.messages:
        yield from message_lines(message)
        for recipient in message.recipients:
            yield from recipient_lines(recipient)
        yield ""
    if found.more:
        yield "There is more: --limit shows it."


def message_lines(one: MessageTold) -> Iterator[str]:
    yield f"message {one.id}  {one.subject}"
    yield f"  tenant     {one.tenant}/{one.stream}" + (
        f", campaign {one.campaign}" if one.campaign else ""
    )
    yield f"  from       <{one.reverse_path}>, signed by {one.from_domain or 'nobody'}"
    yield f"  accepted   {exact(one.created_at)} by {one.origin}, expires {ago(one.expires_at)}"
    states = ", ".join(f"{number} {state}" for state, number in one.states.items())
    yield f"  recipients {states}"


def recipient_lines(one: RecipientTold) -> Iterator[str]:
    kind = f" ({one.bounce_class})" if one.bounce_class else ""
    yield f"  recipient {one.id}  {one.to}"
    yield f"    state  {one.state}{kind}, attempts: {one.attempts}" + (
        f", last: {one.last_reply}" if one.last_reply and not one.history else ""
    )
    next_ = ""
    if one.next_attempt_at:
        next_ = f"next attempt {ago(one.next_attempt_at)} ({exact(one.next_attempt_at)}); "
    yield f"    why    {next_}{one.why}"
    yield f"    queue  {one.domain}" + (f", site {one.site}" if one.site else "")
    for attempt in one.history:
        yield f"    {attempt.number:>5}  {attempt_line(attempt)}"
    for event in one.events:
        yield f"    event  {exact(event['at'])} {event['kind']} {reply_text(event)}".rstrip()


def attempt_line(one: AttemptTold) -> str:
    peer = f"{one.mx_host} [{one.mx_address}]" if one.mx_address else one.mx_host or "no host"
    kind = f" ({one.bounce_class}, rule {one.rule})" if one.bounce_class else ""
    secured = f", {one.tls}" if one.tls else ""
    return (
        f"{exact(one.at)} {one.outcome}{kind} at {one.stage} by {peer} from "
        f"{one.source or 'no source'}{secured}, {one.took_ms} ms: {one.reply}"
    )


def exact(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
