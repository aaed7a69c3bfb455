"""`manage.py release`: let held mail go on."""

from typing import Any

from mta.control import changes
from mta.control.changes import Done
from mta.control.selection import Selection
from mta.management.changing import ChangingCommand


class Command(ChangingCommand):
    help = "Let held recipients go on; counts first, --yes does it."
    action = "release"

    def change(self, chosen: Selection, options: dict[str, Any]) -> Done:
        return changes.release(chosen, by=options["by"], reason=options["reason"])
