"""`manage.py throttles`: egress paths that replies have slowed, and an end to it."""

from __future__ import annotations

import getpass
from typing import Any

import redis
from django.core.management.base import BaseCommand, CommandError, CommandParser

from mta.delivery.throttle_rows import ThrottleRow, throttle_rows
from mta.delivery.throttle_states import reset, reset_all
from mta.management.output import as_json, table
from mta.policy.throttle import path_key

TITLES = ("SOURCE", "TO", "IS", "A MINUTE", "OF", "CONNECTIONS", "UNTIL", "WHY")


class Command(BaseCommand):
    help = "List egress paths that replies have slowed, stopped or blocked; --reset ends it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--reset", nargs=2, metavar=("SOURCE", "SITE"), default=None,
            help="forget what replies did to one path; for a provider's sites write @PROVIDER",
        )  # fmt: skip
        parser.add_argument("--all", action="store_true", help="forget it for all paths")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_: Any, **options: Any) -> None:
        try:
            if options["all"]:
                self.told(options, reset_all(actor=getpass.getuser()))
            elif options["reset"]:
                self.reset_one(options, *options["reset"])
            else:
                self.list(options, throttle_rows())
        except redis.RedisError as error:
            raise CommandError(f"Redis does not answer: {error}") from None

    def reset_one(self, options: dict[str, Any], source: str, site: str) -> None:
        if not reset(path_key(source, site), actor=getpass.getuser()):
            raise CommandError(
                f"nothing throttles {source} to {site}; `manage.py throttles` lists what is"
            )
        self.told(options, 1)

    def told(self, options: dict[str, Any], count: int) -> None:
        text = f"{count} path{'' if count == 1 else 's'} reset"
        self.stdout.write(as_json({"reset": count}) if options["json"] else text)

    def list(self, options: dict[str, Any], rows: list[ThrottleRow]) -> None:
        if options["json"]:
            self.stdout.write(as_json({"throttles": rows}))
        elif rows:
            self.stdout.write(table(TITLES, [cells(row) for row in rows]))
        else:
            self.stdout.write("no path is throttled")


def cells(row: ThrottleRow) -> tuple[Any, ...]:
    until = f"{row.until:%m-%d %H:%M:%S}" if row.until else ""
    return (
        row.source, row.site or f"@{row.provider}", row.kind, per_minute(row.rate),
        per_minute(row.full), f"{row.connections or '-'}/{row.full_connections or '-'}", until,
        row.reason,
    )  # fmt: skip


def per_minute(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:,.1f}"
