"""`manage.py resume NAME`: end a suspension."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from mta.control import suspensions
from mta.control.refusal import Refused
from mta.egress.models import SuspensionScope
from mta.management.output import as_json


class Command(BaseCommand):
    help = "End the suspension of a tenant, a site or a source; mail goes on within 5 seconds."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="SITE|TENANT|SOURCE", help="as it was suspended")
        parser.add_argument(
            "--scope",
            default="",
            choices=SuspensionScope.values,
            help="needed when the name has several meanings",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_: Any, name: str, **options: Any) -> None:
        try:
            done = suspensions.resume(name, scope=options["scope"])
        except Refused as refused:
            raise CommandError(str(refused)) from None
        if options["json"]:
            self.stdout.write(as_json(done))
            return
        self.stdout.write(
            f"resumed {done.scope} {done.key}: {done.lanes:,} queues are looked at "
            f"again, {done.recipients:,} recipients wait no longer"
        )
        for line in done.still:
            self.stdout.write(line)
