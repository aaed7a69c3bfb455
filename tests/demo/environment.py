"""The environment of the demo: its own folder, its own addresses, nothing of the operator's."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: Emptied at each start; DEMO_DIR names another one.
FOLDER = Path(os.environ.get("DEMO_DIR") or ROOT / "var" / "demo").absolute()
#: Where people look first; another port is taken when one of these is in use.
DOORS = {
    "MAILMILL_HTTP_BIND": 8000,
    "MAILMILL_RELAY_BIND": 2525,
    "MAILMILL_SUBMISSION_BIND": 2587,
    "MAILMILL_SMTPS_BIND": 2465,
    "MAILMILL_FLOWER_BIND": 5555,
}


def clean(environment: Mapping[str, str]) -> dict[str, str]:
    """Without the settings of a real instance, which the demo must neither use nor touch."""
    return {name: value for name, value in environment.items() if not name.startswith("MAILMILL_")}


def doors(given: Mapping[str, str]) -> dict[str, str]:
    """An address for every door: the given one, else the usual port, else any free one."""
    chosen = {}
    with ExitStack() as held:
        for variable, port in DOORS.items():
            if given.get(variable):
                chosen[variable] = given[variable]
                continue
            probe = held.enter_context(socket.socket())
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                probe.listen(1)
            except OSError:
                probe.bind(("127.0.0.1", 0))
            chosen[variable] = f"127.0.0.1:{probe.getsockname()[1]}"
    return chosen


def settings(
    folder: Path, *, dns: str, smtp_port: int, given: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """All MAILMILL_ variables of the demo."""
    return {
        "MAILMILL_PROFILE": "demo",
        "MAILMILL_DATA_DIR": str(folder),
        "MAILMILL_HOSTNAME": "mailmill.demo.test",
        "MAILMILL_DNS": dns,
        "MAILMILL_REMOTE_SMTP_PORT": str(smtp_port),
        "MAILMILL_LOG_LEVEL": given.get("MAILMILL_LOG_LEVEL", "INFO"),
        **doors(given),
    }
