"""What commands that change mail have in common: a preview first, the change with --yes."""

from __future__ import annotations

import getpass
from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandError, CommandParser

from dashboard.display import span
from mta.control import selection
from mta.control.changes import TAKES, Done
from mta.control.preview import Preview, preview
from mta.control.refusal import Refused
from mta.control.selection import Selection
from mta.management.output import as_json
from mta.policy.lifecycle import State
from mta.storage.fields import now_ms, to_ms

FILTER_HELP = "KEY=VALUE with KEY one of " + ", ".join(selection.KEYS) + "; all must hold"


class OrderCommand(BaseCommand):
    """Counts what it would change, and changes it with --yes; subclasses choose and do it."""

    action: ClassVar[str]

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--reason", default="", help="kept with the decision")
        parser.add_argument("--yes", action="store_true", help="do it; without: show the counts")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_: Any, yes: bool, **options: Any) -> None:
        try:
            chosen = self.choose(options)
            seen = preview(chosen, TAKES[self.action])
            done = self.change(chosen, {**options, "by": getpass.getuser()}) if yes else None
        except Refused as refused:
            raise CommandError(str(refused)) from None
        if options["json"]:
            self.stdout.write(as_json(as_object(self.action, chosen, seen, done)))
        else:
            self.stdout.write(as_text(self.action, chosen, seen, done))

    def choose(self, options: dict[str, Any]) -> Selection:
        """The recipients that are meant; Refused when that is not clear, or cannot be done."""
        raise NotImplementedError

    def change(self, chosen: Selection, options: dict[str, Any]) -> Done:
        """Do it."""
        raise NotImplementedError


class ChangingCommand(OrderCommand):
    """Chooses by --filter."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--filter",
            dest="words",
            metavar="KEY=VALUE",
            nargs="+",
            action="extend",
            default=[],
            help=FILTER_HELP,
        )
        super().add_arguments(parser)

    def choose(self, options: dict[str, Any]) -> Selection:
        return selection.read(options["words"], TAKES[self.action])


def as_object(action: str, chosen: Selection, seen: Preview, done: Done | None) -> dict[str, Any]:
    return {
        "action": action,
        "filter": selection.as_json(chosen),
        "matched": seen,
        "done": done is not None,
        "changed": done.changed if done else 0,
        "dsns": done.dsns if done else 0,
    }


def as_text(action: str, chosen: Selection, seen: Preview, done: Done | None) -> str:
    lines = [f"{action}: {seen.total:,} recipients match {chosen}"]
    if seen.total:
        lines += [
            f"  states   {listed(seen.by_state, len(seen.by_state))}",
            f"  domains  {listed(seen.by_domain, seen.domains)}",
            f"  tenants  {listed(seen.by_tenant, seen.tenants)}",
        ]
    if seen.oldest_at:
        lines.append(f"  oldest   {span((now_ms() - to_ms(seen.oldest_at)) / 1000)}")
    if seen.in_flight:
        lines.append(f"  {seen.in_flight:,} more are in the hands of workers: left alone")
    if action == "retry" and seen.by_state.get(State.SCHEDULED):
        lines.append(
            "  scheduled mail may wait for a time that its sender asked for: add "
            "state=deferred to leave it"
        )
    if done is None:
        lines.append("Nothing is changed yet: add --yes." if seen.total else "Nothing to change.")
        return "\n".join(lines)
    lines.append(f"Changed: {done.changed:,}" + (f"; DSNs: {done.dsns:,}" if done.dsns else ""))
    if done.changed < seen.total:
        lines.append(f"{seen.total - done.changed:,} went their own way meanwhile.")
    return "\n".join(lines)


def listed(sums: dict[str, int], number: int) -> str:
    """ "a 12, b 3 and 7 more"."""
    more = f" and {number - len(sums)} more" if number > len(sums) else ""
    return ", ".join(f"{name} {count:,}" for name, count in sums.items()) + more
