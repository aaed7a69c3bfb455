"""`manage.py retry`: make waiting mail due now."""

from typing import Any

from mta.control import changes
from mta.control.changes import Done
from mta.control.selection import Selection
from mta.management.changing import ChangingCommand


class Command(ChangingCommand):
    help = "Make waiting recipients due now; counts first, --yes does it."
    action = "retry"

    def change(self, chosen: Selection, options: dict[str, Any]) -> Done:
        return changes.retry(chosen, by=options["by"], reason=options["reason"])
