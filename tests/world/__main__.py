"""`python -m tests.world`: the fake world as a process; SIGTERM or SIGINT stops it."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import signal
import sys
from dataclasses import replace
from pathlib import Path

import uvloop

from tests.world.cast import EXTRAS, ROLES, Role
from tests.world.control import Control
from tests.world.ledger import Ledger
from tests.world.server import FakeWorld


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.world", description=__doc__)
    parser.add_argument("--dns", default="127.0.0.1:0", metavar="HOST:PORT")
    parser.add_argument("--smtp-port", type=int, default=0, metavar="PORT")
    parser.add_argument("--control-port", type=int, default=0, metavar="PORT")
    parser.add_argument("--state", type=Path, required=True, metavar="DIR")
    parser.add_argument("--ready-file", type=Path, metavar="FILE", help="ports as JSON, once up")
    parser.add_argument("--greylist-seconds", type=float, default=10.0)
    parser.add_argument("--keep-content", type=int, default=1000, metavar="N")
    parser.add_argument("--count-only", action="store_true", help="keep no entry per message")
    parser.add_argument(
        "--stop-with-stdin", action="store_true", help="stop at the end of standard input"
    )
    return parser.parse_args()


def roles(greylist_seconds: float) -> tuple[Role, ...]:
    return tuple(
        replace(role, behaviour=replace(role.behaviour, greylist_seconds=greylist_seconds))
        if role.behaviour.greylist_seconds
        else role
        for role in ROLES + EXTRAS
    )


def announce(ready_file: Path | None, ports: dict[str, object]) -> None:
    """Write the ports in one step, so that whoever waits for the file reads all of it."""
    print(json.dumps(ports), flush=True)
    if ready_file is not None:
        draft = ready_file.with_name(ready_file.name + ".new")
        draft.write_text(json.dumps(ports))
        draft.replace(ready_file)


def watch_stdin(stop: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4096):
        stop.set()


async def live(options: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    options.state.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(keep_content=options.keep_content, keep_entries=not options.count_only)
    world = FakeWorld(options.state, ledger, roles(options.greylist_seconds))
    host, _, port = options.dns.rpartition(":")
    await world.start(host, int(port), options.smtp_port)
    control = await asyncio.start_server(
        Control(world).serve, "127.0.0.1", options.control_port, limit=1 << 20
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if options.stop_with_stdin:
        loop.add_reader(sys.stdin.fileno(), watch_stdin, stop)
    announce(
        options.ready_file,
        {
            "dns": f"{host}:{world.dns_port}",
            "smtp_port": world.smtp_port,
            "control_port": control.sockets[0].getsockname()[1],
            "ca_file": str((options.state / "ca.pem").resolve()),
            "pid": os.getpid(),
        },
    )
    await stop.wait()
    control.close()
    world.close()


def main() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    uvloop.run(live(arguments()))


if __name__ == "__main__":
    main()
