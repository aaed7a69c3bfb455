"""`manage.py suspend NAME`: let mail of a tenant or campaign, to a site, or from a source wait."""

from __future__ import annotations

import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from mta.control import names, suspensions
from mta.control.preview import preview
from mta.control.reach import reach
from mta.control.refusal import Refused
from mta.control.selection import duration
from mta.egress.models import SuspensionScope
from mta.management.output import as_json
from mta.policy.lifecycle import WAITING


class Command(BaseCommand):
    help = (
        "Let the mail of a tenant or campaign, to a site or provider, or from a source wait; "
        "within 5 seconds."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "name",
            metavar="NAME",
            help="tenant, TENANT/CAMPAIGN, site (a domain, or a rollup as in mailq), provider, "
            "source",
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
        parser.add_argument("--dry-run", action="store_true", help="only count what would wait")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_: Any, name: str, **options: Any) -> None:
        try:
            named = names.find(name, options["scope"])
            waiting = preview(reach(named), WAITING).total
            if options["dry_run"]:
                self.say(options, {"scope": named.scope, "key": named.key, "waiting": waiting},
                         f"{named.scope} {named.key}: {waiting:,} waiting recipients")  # fmt: skip
                return
            seconds = duration(options["duration"], "--for") if options["duration"] else None
            made = suspensions.impose(
                named,
                ends_at=suspensions.end_after(seconds),
                reason=options["reason"],
                by=getpass.getuser(),
            )
        except Refused as refused:
            raise CommandError(str(refused)) from None
        row = made.row
        fields = ("scope", "key", "reason", "created_by", "created_at", "ends_at")
        told = {field: getattr(row, field) for field in fields}
        until = f"until {row.ends_at:%Y-%m-%d %H:%M:%S} UTC" if row.ends_at else "until resumed"
        self.say(
            options,
            {**told, "waiting": waiting, "held": made.held},
            f"suspended {row.scope} {row.key} {until}; {waiting:,} recipients were waiting",
        )

    def say(self, options: dict[str, Any], told: dict[str, Any], text: str) -> None:
        self.stdout.write(as_json(told) if options["json"] else text)
