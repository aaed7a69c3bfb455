"""`manage.py beat`: the clock of the upkeep."""

import os
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Run Celery's beat, which starts the upkeep tasks."
    # `up` starts nine processes: the checks, a third of a start, are made once, by migrate.
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        argv = [sys.executable, "-m", "celery", "-A", "tasks.app", "beat", "--pidfile=",
                "--loglevel", settings.MAILMILL.log_level]  # fmt: skip
        os.execv(sys.executable, argv)  # noqa: S606  # our own interpreter, no shell
