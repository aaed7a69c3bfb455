"""`manage.py suspend NAME`: let the mail of a tenant, to a site or from a source wait."""

from __future__ import annotations

import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from mta.control import suspensions
from mta.control.refusal import Refused
from mta.control.selection import duration
from mta.egress.models import SuspensionScope
from mta.management.output import as_json


class Command(BaseCommand):
    help = "Let the mail of a tenant, to a site or from a source wait; within 5 seconds."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "name",
            metavar="SITE|TENANT|SOURCE",
            help="a site may be a domain, a rollup as in mailq, or a provider",
        )
        parser.add_argument(
            "--scope",
            default="",
            choices=SuspensionScope.values,
            help="needed when the name has several meanings",
        )
        parser.add_argument(
            "--for",
            default="",
            dest="duration",
            metavar="DURATION",
            help="such as 30m, 2h or 1d; default: until it is resumed",
        )
        parser.add_argument("--reason", default="", help="shown wherever the mail is seen waiting")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_: Any, name: str, **options: Any) -> None:
        try:
            seconds = duration(options["duration"], "--for") if options["duration"] else None
            made = suspensions.suspend(
                name,
                scope=options["scope"],
                seconds=seconds,
                reason=options["reason"],
                by=getpass.getuser(),
            )
        except Refused as refused:
            raise CommandError(str(refused)) from None
        if options["json"]:
            fields = ("scope", "key", "reason", "created_by", "created_at", "ends_at")
            self.stdout.write(as_json({field: getattr(made, field) for field in fields}))
        else:
            until = (
                f"until {made.ends_at:%Y-%m-%d %H:%M:%S} UTC" if made.ends_at else "until resumed"
            )
            self.stdout.write(f"suspended {made.scope} {made.key} {until}")
