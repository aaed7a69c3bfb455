"""What Mailmill consists of: every process, its command, its doors and its turn to stop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mta.supervise.broker import valkey
from mta.supervise.program import Door, Program, StartOrder, StopOrder

#: Stages of the pipeline that have a worker process of their own.
STAGES = ("resolve", "sign", "deliver", "classify")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the stack runs: the values of the settings that shape its commands."""

    #: Interpreter and manage.py, as words of a command.
    python: str
    manage: str
    data_dir: Path
    #: Doors by variable, such as "MAILMILL_HTTP_BIND".
    binds: Mapping[str, tuple[str, int]]
    #: Valkey's binary; empty: a Redis elsewhere is used.
    valkey_binary: str = ""
    blocking_threads: int = 4

    def door(self, variable: str) -> Door:
        return Door(variable, *self.binds[variable])


def programs(place: Place) -> tuple[Program, ...]:
    """All programs in the order of their start; StartRefused when the data folder does not fit."""
    embedded = (
        (valkey(place.valkey_binary, place.data_dir, place.data_dir / "valkey.sock"),)
        if place.valkey_binary
        else ()
    )
    return (
        *embedded,
        Program(
            "migrate",
            command(place, "migrate", "--no-input", "--verbosity", "0"),
            StopOrder.DISPATCH,
            StartOrder.SCHEMA,
            once=True,
        ),
        web(place),
        Program(
            "smtpd",
            command(place, "smtpd"),
            StopOrder.DOORS,
            doors=(
                place.door("MAILMILL_RELAY_BIND"),
                place.door("MAILMILL_SUBMISSION_BIND"),
                place.door("MAILMILL_SMTPS_BIND"),
            ),
        ),
        Program("dispatch", command(place, "dispatch"), StopOrder.DISPATCH),
        *(
            Program(stage, command(place, "worker", stage), StopOrder.WORKERS)
            for stage in STAGES
        ),
        Program("beat", command(place, "beat"), StopOrder.BEAT),
        Program(
            "flower",
            command(place, "flower"),
            StopOrder.FLOWER,
            doors=(place.door("MAILMILL_FLOWER_BIND"),),
        ),
        Program("drain", command(place, "drain"), StopOrder.DRAIN, at_stop=True),
    )  # fmt: skip


def command(place: Place, *words: str) -> tuple[str, ...]:
    return (place.python, place.manage, *words)


def web(place: Place) -> Program:
    """Django under granian: one process, and threads that wait for the database."""
    door = place.door("MAILMILL_HTTP_BIND")
    words = {
        "--interface": "wsgi",
        "--host": door.host,
        "--port": str(door.port),
        "--workers": "1",
        "--blocking-threads": str(place.blocking_threads),
        "--log-level": "warning",
        # Below the supervisor's own patience with the doors.
        "--workers-kill-timeout": "1",
    }
    options = [word for pair in words.items() for word in pair]
    return Program(
        "web",
        (place.python, "-m", "granian", *options, "--no-ws", "mta.wsgi:application"),
        StopOrder.DOORS,
        doors=(door,),
    )
