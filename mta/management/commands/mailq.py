"""`manage.py mailq`: what waits, where, since when and why."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from dashboard.display import ago, span
from dashboard.explain_queue import QUEUED, QueueLine, Queues, queues
from mta.control.refusal import Refused
from mta.management.output import as_json, table
from mta.storage.fields import now_ms, to_ms

TITLES = (
    "domain",
    "site",
    "tenant/stream",
    "waiting",
    "in flight",
    "held",
    "oldest",
    "next attempt",
    "last word",
)


class Command(BaseCommand):
    help = "Show the queues, the longest first."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tenant", default="", help="only mail of this tenant")
        parser.add_argument("--domain", default="", help="only mail to this domain")
        parser.add_argument("--state", default="", choices=QUEUED, help="only mail in this state")
        parser.add_argument("--limit", type=int, default=50, help="most lines; default 50")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_: Any, **options: Any) -> None:
        try:
            found = queues(
                tenant=options["tenant"],
                domain=options["domain"],
                state=options["state"],
                limit=options["limit"],
            )
        except Refused as refused:
            raise CommandError(str(refused)) from None
        self.stdout.write(as_json(found) if options["json"] else as_text(found))


def as_text(found: Queues) -> str:
    if not found.lanes:
        return "No mail is queued."
    sums = (
        f"{found.waiting:,} waiting, {found.in_flight:,} in flight, {found.held:,} held "
        f"in {found.lanes:,} queues"
    )
    if found.lanes > len(found.lines):
        sums += f"; the {len(found.lines)} longest are shown (--limit)"
    return table(TITLES, [cells(line) for line in found.lines]) + "\n" + sums


def cells(line: QueueLine) -> tuple[Any, ...]:
    oldest = span((now_ms() - to_ms(line.oldest_at)) / 1000) if line.oldest_at else ""
    due = ago(line.next_attempt_at) if line.next_attempt_at else ""
    if line.next_attempt_at and to_ms(line.next_attempt_at) <= now_ms():
        due = "due"
    word = f"[{line.hold_reason}] {line.last_reply}" if line.hold_reason else line.last_reply
    return (
        line.domain,
        line.site,
        f"{line.tenant}/{line.stream}",
        line.waiting,
        line.in_flight,
        line.held,
        oldest,
        due,
        word.strip()[:120],
    )
