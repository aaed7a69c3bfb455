"""`manage.py check_setup`: is this instance ready for real mail? Exit code 1 when it is not."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from dashboard.setup_check import check_setup, passed
from dashboard.setup_check_finding import Finding
from mta.management.output import as_json, printable


class Command(BaseCommand):
    help = "Check DNS, PTR, ports, clock, services and limits; says the fix of what is not well."
    # An instance that is not ready is what this is for.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_: Any, **options: Any) -> None:
        findings = []
        for finding in check_setup():
            findings.append(finding)
            if not options["json"]:  # a time-out takes a while: each line as it comes
                self.stdout.write(as_text(finding))
                self.stdout.flush()
        good = passed(findings)
        if options["json"]:
            self.stdout.write(as_json({"passed": good, "checks": findings}))
        if not good:
            sys.exit(1)


def as_text(finding: Finding) -> str:
    line = f"{finding.state:<4}  {finding.check:<11}  {printable(finding.said)}"
    return f"{line}\n{'':19}fix: {printable(finding.fix)}" if finding.fix else line
