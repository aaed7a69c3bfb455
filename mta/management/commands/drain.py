"""`manage.py drain`: return what sits in the broker's queues of a stopped node to the spool."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError


class Command(BaseCommand):
    help = "Settle or return the batches left in the queues; run it when the workers are stopped."
    # `up` starts nine processes: the checks, a third of a start, are made once, by migrate.
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        from tasks.drain import BrokerAway, drain

        try:
            done = drain()
        except BrokerAway as error:
            raise CommandError(
                f"Redis does not answer ({error}): start it or correct MAILMILL_REDIS_URL."
            ) from None
        text = f"{done['settled']} batches settled, {done['returned']} returned."
        self.stdout.write(json.dumps(done) if options["json"] else text)
