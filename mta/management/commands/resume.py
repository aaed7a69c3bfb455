"""`manage.py resume NAME`: end a suspension."""

from __future__ import annotations

import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from mta.control import suspensions
from mta.control.refusal import Refused
from mta.egress.models import SuspensionScope
from mta.management.output import as_json


class Command(BaseCommand):
    help = "End a suspension; the mail goes on within 5 seconds."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME", help="as it was suspended")
        parser.add_argument(
            "--scope",
            default="",
            choices=SuspensionScope.values,
            help="needed when the name has several meanings",
        )
        parser.add_argument("--reason", default="", help="kept with the decision")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_: Any, name: str, **options: Any) -> None:
        try:
            done = suspensions.resume(
                name, scope=options["scope"], reason=options["reason"], by=getpass.getuser()
            )
        except Refused as refused:
            raise CommandError(str(refused)) from None
        if options["json"]:
            self.stdout.write(as_json(done))
            return
        self.stdout.write(
            f"resumed {done.scope} {done.key}: {done.lanes:,} queues are looked at "
            f"again, {done.recipients:,} held recipients are released"
        )
        for line in done.still:
            self.stdout.write(line)
