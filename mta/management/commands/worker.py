"""`manage.py worker STAGE`: a Celery worker of one stage, with the options we run it with."""

import os
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

#: Threads of each stage; they wait for the database, for OpenSSL or for the peer.
THREADS = {"resolve": 4, "sign": 2, "classify": 2}


class Command(BaseCommand):
    help = "Run the worker of one stage: resolve, sign, deliver or classify."
    # `up` starts nine processes: the checks, a third of a start, are made once, by migrate.
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("stage", choices=["resolve", "sign", "deliver", "classify"])
        parser.add_argument("--name", default="", help="node name; default STAGE@host")

    def handle(self, *args: Any, **options: Any) -> None:
        stage = options["stage"]
        threads = settings.MAILMILL.deliver_threads if stage == "deliver" else THREADS[stage]
        os.environ["STAGE_OF_WORKER"] = stage
        argv = [
            sys.executable, "-m", "celery", "-A", "tasks.worker", "worker",
            "--hostname", options["name"] or f"{stage}@%h", "--pool", "threads",
            "--concurrency", str(threads), "--queues", ",".join(queues_of(stage)),
            "--without-gossip", "--without-mingle", "--loglevel", settings.MAILMILL.log_level,
        ]  # fmt: skip
        os.execv(sys.executable, argv)  # noqa: S606  # our own interpreter, no shell


def queues_of(stage: str) -> list[str]:
    """What the stage consumes; the classify worker does the upkeep as well."""
    from tasks import queues

    if stage == "deliver":
        return [*queues.tails(), *queues.site_queues()]
    return [stage, queues.UPKEEP] if stage == "classify" else [stage]
