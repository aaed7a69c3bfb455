"""`manage.py check_rules`: can every rule do what it says? Exit code 1 when one cannot."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from dashboard.explain_rules import check_rules
from mta.management.output import as_json, printable


class Command(BaseCommand):
    help = "Check bounce, shaping, automation and routing rules, shipped and from the admin."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_: Any, **options: Any) -> None:
        found = check_rules()
        if options["json"]:
            self.stdout.write(as_json(found))
        else:
            counts = ", ".join(f"{name} {number}" for name, number in found.counts.items())
            for problem in found.problems:
                self.stdout.write(printable(problem))
            self.stdout.write(f"{counts}; problems: {len(found.problems)}")
        if found.problems:
            sys.exit(1)
