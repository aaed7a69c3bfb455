"""`manage.py flower`: Celery's monitor, shown to staff under /flower/."""

import os
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

CONFIG = Path(__file__).resolve().parents[3] / "dashboard" / "flower.py"


class Command(BaseCommand):
    help = "Run Flower until SIGTERM; people reach it through the dashboard."
    requires_system_checks = []  # `make check` ran them; they cost a third of the start

    def handle(self, *_args: Any, **_options: Any) -> None:
        argv = [sys.executable, "-m", "celery", "-A", "tasks.app", "flower", f"--conf={CONFIG}"]
        os.execv(sys.executable, argv)  # noqa: S606  # our own interpreter, no shell
