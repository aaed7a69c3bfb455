"""`manage.py dispatch`: the process that turns due mail into batches."""

from typing import Any

from django.core.management.base import BaseCommand
from django.db import connection


class Command(BaseCommand):
    help = "Dispatch due mail until SIGTERM."
    # `up` starts nine processes: the checks, a third of a start, are made once, by migrate.
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        from tasks.dispatch import Dispatcher

        if connection.vendor == "sqlite":
            with connection.cursor() as cursor:
                # A claim that a power failure undoes is harmless: no fsync for it.
                cursor.execute("PRAGMA synchronous=NORMAL")
        Dispatcher().run()
