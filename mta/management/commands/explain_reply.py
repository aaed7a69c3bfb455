"""`manage.py explain_reply LINE`: what a reply would be taken for; `-` reads many."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from dashboard import explain_reply as explain
from mta.control.refusal import Refused
from mta.management.output import printable
from mta.policy.verdict import BOUNCE_CLASSES


class Command(BaseCommand):
    help = "Say what a reply means: class, permanence, scope, action, and the rule that decided."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "line",
            metavar="LINE",
            help=r"a reply ('\n' between its lines); - reads "
            "replies from standard input, one a line, and prints a JSON object for "
            "each",
        )
        parser.add_argument("--stage", default="dot", help="where it was said; default: dot")
        parser.add_argument("--provider", default="", help="who said it, such as google")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_: Any, line: str, stage: str, provider: str, **options: Any) -> None:
        try:
            explain.check_place(stage, provider)
        except Refused as refused:
            raise CommandError(str(refused)) from None
        if line == "-":
            self.stream(stage, provider)
            return
        found = explain.explain_reply(line, stage=stage, provider=provider)
        text = json.dumps(found.to_json()) if options["json"] else as_text(found)
        self.stdout.write(text)

    def stream(self, stage: str, provider: str) -> None:
        """One object for each line, at once: whoever writes may wait for it."""
        try:
            for line in explain.lines(sys.stdin.buffer):
                found = explain.explain_reply(line, stage=stage, provider=provider)
                self.stdout.write(json.dumps(found.to_json()))
                self.stdout.flush()
        except BrokenPipeError:  # the reader has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def as_text(found: explain.ReplyExplained) -> str:
    reply, verdict = found.reply, found.verdict
    meaning = BOUNCE_CLASSES.get(verdict.bounce_class, "")
    return "\n".join(
        [
            f"reply      {printable(str(reply)) or 'none'}",
            f"class      {verdict.bounce_class or 'delivered'}"
            + (f" ({meaning})" if meaning else ""),
            f"permanent  {'yes: it bounces' if verdict.permanent else 'no'}",
            f"scope      {verdict.scope}",
            f"action     {verdict.action or 'none'}",
            f"rule       {verdict.rule}",
        ]
    )
