"""`manage.py drain_source SOURCE`: begin nothing new on a source, or let it send again."""

from __future__ import annotations

import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from mta.control import draining
from mta.control.draining import Load
from mta.control.refusal import Refused
from mta.management.output import as_json


class Command(BaseCommand):
    help = "Begin nothing new on a source; what is in flight finishes. Counts first, --yes does it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("source", metavar="SOURCE")
        parser.add_argument("--undo", action="store_true", help="let it send again")
        parser.add_argument("--reason", default="", help="kept with the decision")
        parser.add_argument("--yes", action="store_true", help="do it; without: show the counts")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_: Any, source: str, **options: Any) -> None:
        try:
            row = draining.source_named(source)
            if not options["yes"]:
                found = draining.load(row)
            else:
                order = draining.undrain if options["undo"] else draining.drain
                found = order(row, by=getpass.getuser(), reason=options["reason"])
        except Refused as refused:
            raise CommandError(str(refused)) from None
        if options["json"]:
            self.stdout.write(as_json({"done": options["yes"], "load": found}))
        else:
            self.stdout.write(as_text(found, done=options["yes"]))


def as_text(found: Load, *, done: bool) -> str:
    lines = [
        f"source {found.source} is {found.status}",
        f"  bound      {found.bound:,} waiting recipients were tried from it before",
        f"  in flight  {found.in_flight:,} of those, "
        f"{'?' if found.connections is None else found.connections} connections are open",
    ]
    if found.alone_in:
        lines.append(f"  no other active source in pool {', '.join(found.alone_in)}: mail waits")
    if not done:
        lines.append("Nothing is changed yet: add --yes.")
    return "\n".join(lines)
