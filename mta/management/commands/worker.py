"""`manage.py worker STAGE`: a Celery worker of one stage, with the options we run it with."""

import os
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Run the worker of one stage: resolve, sign, deliver or classify."
    # `up` starts nine processes: the checks, a third of a start, are made once, by migrate.
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("stage", choices=["resolve", "sign", "deliver", "classify"])
        parser.add_argument("--name", default="", help="node name; default STAGE@host")

    def handle(self, *args: Any, **options: Any) -> None:
        stage = options["stage"]
        os.environ["STAGE_OF_WORKER"] = stage
        argv = [
            sys.executable, "-m", "celery", "-A", "tasks.worker", "worker",
            # One task at a time, in the thread that receives it: no task waits for the network,
            # and each hand-over between threads costs 40 futex calls a batch.
            "--hostname", options["name"] or f"{stage}@%h", "--pool", "solo",
            "--queues", ",".join(queues_of(stage)),
            "--without-gossip", "--without-mingle", "--loglevel", settings.MAILMILL.log_level,
        ]  # fmt: skip
        os.execv(sys.executable, argv)  # noqa: S606  # our own interpreter, no shell


def queues_of(stage: str) -> list[str]:
    """What the stage consumes; the classify worker does the upkeep as well."""
    from tasks import queues

    if stage == "deliver":
        return [*queues.tails(), *queues.site_queues()]
    return [stage, queues.UPKEEP] if stage == "classify" else [stage]
