"""A supervisor over small Python programs: `python -m tests.unit.supervise.harmless FILE`.

FILE is JSON: a list of {"name", "code", "stop_order"?, "start_order"?, "once"?, "at_stop"?}.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mta.supervise.console import Console
from mta.supervise.program import Program, StartOrder, StopOrder
from mta.supervise.supervisor import Supervisor
from tests.services.processes import ChildProcess

ROOT = Path(__file__).resolve().parents[3]

#: Says "ready", ends at SIGTERM after saying "bye".
POLITE = """
import signal, sys
def end(*_):
    print("bye", flush=True)
    sys.exit()
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
while True:
    signal.pause()
"""

#: Says "ready" and takes no notice of SIGTERM.
STUBBORN = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
while True:
    signal.pause()
"""


def start(folder: Path, programs: Sequence[Mapping[str, Any]]) -> ChildProcess:
    """The supervisor over `programs`; its terminal is the file up.log in `folder`."""
    plan = folder / "programs.json"
    plan.write_text(json.dumps(programs))
    return ChildProcess(
        [sys.executable, "-m", "tests.unit.supervise.harmless", plan],
        output=folder / "up.log",
        cwd=ROOT,
    )


def program(entry: Mapping[str, Any]) -> Program:
    return Program(
        entry["name"],
        (sys.executable, "-c", entry["code"]),
        StopOrder[entry.get("stop_order", "WORKERS")],
        StartOrder[entry.get("start_order", "REST")],
        once=entry.get("once", False),
        at_stop=entry.get("at_stop", False),
    )


def main() -> int:
    programs = [program(entry) for entry in json.loads(Path(sys.argv[1]).read_text())]
    console = Console(1, [one.name for one in programs], colour=False)
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    return Supervisor(programs, console, environment=environment).run()


if __name__ == "__main__":
    sys.exit(main())
