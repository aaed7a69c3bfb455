"""`manage.py move`: let waiting mail go by way of another pool."""

from typing import Any

from django.core.management.base import CommandParser

from mta.control import moving
from mta.control.changes import Done
from mta.control.selection import Selection
from mta.management.changing import ChangingCommand


class Command(ChangingCommand):
    help = "Let waiting and held recipients go from another pool; counts first, --yes does it."
    action = "move"

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--to", required=True, metavar="POOL", help="the stream's own pool brings mail back"
        )

    def choose(self, options: dict[str, Any]) -> Selection:
        chosen = super().choose(options)
        moving.check(chosen, moving.pool_named(options["to"]))
        return chosen

    def change(self, chosen: Selection, options: dict[str, Any]) -> Done:
        pool = moving.pool_named(options["to"])
        return moving.move(chosen, pool, by=options["by"], reason=options["reason"])
