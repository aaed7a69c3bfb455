"""`manage.py bounce`: end waiting and held mail for good."""

from typing import Any

from django.core.management.base import CommandParser

from mta.control import changes
from mta.control.changes import Done
from mta.control.selection import Selection
from mta.management.changing import ChangingCommand


class Command(ChangingCommand):
    help = "End waiting and held recipients for good; counts first, --yes does it."
    action = "bounce"

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--dsn", action="store_true", help="tell the senders (RFC 3464)")

    def change(self, chosen: Selection, options: dict[str, Any]) -> Done:
        return changes.bounce(
            chosen, by=options["by"], reason=options["reason"], dsn=options["dsn"]
        )
