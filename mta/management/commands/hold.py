"""`manage.py hold`: keep waiting mail back until somebody releases it."""

from typing import Any

from mta.control import changes
from mta.control.changes import Done
from mta.control.selection import Selection
from mta.management.changing import ChangingCommand


class Command(ChangingCommand):
    help = "Keep waiting recipients back until they are released; counts first, --yes does it."
    action = "hold"

    def change(self, chosen: Selection, options: dict[str, Any]) -> Done:
        return changes.hold(chosen, by=options["by"], reason=options["reason"])
