"""`manage.py cancel_campaign`: end what waits of a campaign."""

from typing import Any

from django.core.management.base import CommandParser

from mta.control import campaigns
from mta.control.changes import Done
from mta.control.selection import Selection
from mta.management.changing import OrderCommand


class Command(OrderCommand):
    help = "End waiting and held recipients of a campaign; counts first, --yes does it."
    action = "bounce"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("tenant", metavar="TENANT")
        parser.add_argument("campaign", metavar="CAMPAIGN")
        parser.add_argument("--dsn", action="store_true", help="tell the senders (RFC 3464)")
        super().add_arguments(parser)

    def choose(self, options: dict[str, Any]) -> Selection:
        return campaigns.named(options["tenant"], options["campaign"])

    def change(self, chosen: Selection, options: dict[str, Any]) -> Done:
        return campaigns.cancel(
            chosen, by=options["by"], reason=options["reason"], dsn=options["dsn"]
        )
