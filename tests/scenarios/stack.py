"""A whole Mailmill of a test's own: real workers, real Valkey, real database, the fake world."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from base64 import b64decode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import redis

from tests.services.postgres import Postgres
from tests.services.processes import ChildProcess, wait_until
from tests.services.redis import ValkeyProcess, start_valkey
from tests.world.client import World

ROOT = Path(__file__).resolve().parents[2]
STAGES = ("resolve", "sign", "deliver", "classify")
#: What a worker says when it takes tasks.
READY = " ready."
FINAL = "('delivered', 'bounced', 'expired', 'suppressed', 'admin_bounced')"


class Stack:
    """Processes by name ("dispatch", "beat" and the stages), startable and killable one by one."""

    def __init__(self, folder: Path, world: World, backend: str, **settings: str) -> None:
        self.folder, self.world = folder, world
        self.children: dict[str, ChildProcess] = {}
        self.valkey: ValkeyProcess = start_valkey(folder / "valkey", append_only=True)
        self.postgres = Postgres(folder / "postgres") if backend == "postgresql" else None
        clean = {name: value for name, value in os.environ.items() if "MAILMILL" not in name}
        self.environment = {
            **clean,
            # All that the test process sets for itself is set anew: children inherit the rest.
            "MAILMILL_DATA_DIR": str(folder / "data"),
            "MAILMILL_DATABASE_URL": f"sqlite:///{folder}/spool.sqlite3",
            "MAILMILL_SECRET_KEY": "a secret key of one story, as long as it has to be",
            "MAILMILL_REDIS_URL": self.valkey.url,
            "MAILMILL_DNS": world.dns,
            "MAILMILL_REMOTE_SMTP_PORT": str(world.smtp_port),
            "MAILMILL_HOSTNAME": "mill.example.net",
            "MAILMILL_PROFILE": "demo",
            "MAILMILL_CLAIM_SECONDS": "8",
            "C_FORCE_ROOT": "1",
            **settings,
        }
        if self.postgres is not None:
            self.environment["MAILMILL_DATABASE_URL"] = self.postgres.url
        self.manage("migrate", "--verbosity", "0")
        self.operator = subprocess.Popen(
            [sys.executable, "-m", "tests.scenarios.operator"], cwd=ROOT, env=self.environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.tenant = self.ask("make_tenant", name="acme", domain="acme.test")
        # The shipped limits are for the real world; stories that need limits set their own.
        self.shape(messages_per_second=100_000, burst=100_000, connections_per_minute=100_000)

    def manage(self, *words: str) -> str:
        """Run a command to its end; its standard output."""
        done = subprocess.run(
            [sys.executable, "manage.py", *words], cwd=ROOT, env=self.environment,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def ask(self, call: str, **arguments: Any) -> Any:
        """Have the operator do something."""
        assert self.operator.stdin
        assert self.operator.stdout
        self.operator.stdin.write(json.dumps({"call": call, "with": arguments}) + "\n")
        self.operator.stdin.flush()
        line = self.operator.stdout.readline()
        assert line, "the operator's process ended"
        answer = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer["ok"]

    def shape(self, **values: Any) -> None:
        self.ask("shape", **values)

    def send(self, to: Sequence[str], **values: Any) -> str:
        message_id: str = self.ask("send", to=list(to), **values)
        return message_id

    def sql(self, query: str) -> list[list[Any]]:
        rows: list[list[Any]] = self.ask("sql", query=query)
        return rows

    def states(self) -> dict[str, int]:
        """Recipients of what the tests sent, by state; DSNs are not counted."""
        return dict(
            self.sql(
                "SELECT state, count(*) FROM spool_recipient r JOIN spool_message m "
                "ON m.id = r.message_id WHERE m.origin <> 'dsn' GROUP BY state"
            )
        )

    def start(self, *names: str) -> None:
        """Start processes (default: all that move mail) and wait until they are ready."""
        for name in names or ("dispatch", "beat", *STAGES):
            words = ["worker", name] if name in STAGES else [name]
            output = self.folder / f"{name}.log"
            output.unlink(missing_ok=True)
            self.children[name] = ChildProcess(
                [sys.executable, "manage.py", *words], output=output, env=self.environment,
                cwd=ROOT,
            )  # fmt: skip
        for name in names or STAGES:
            if name in STAGES:
                self.children[name].wait_for_log(READY, 40)

    def kill(self, name: str) -> None:
        """kill -9."""
        self.children.pop(name).kill()

    def redis(self) -> redis.Redis:
        return redis.Redis.from_url(self.valkey.url)

    def in_queues(self, pattern: str) -> int:
        """Recipients that wait in the broker's queues of these names."""
        client = self.redis()
        count = 0
        for name in client.keys(f"{pattern}*"):
            for message in client.lrange(name, 0, -1):
                (convoy,), _, _ = json.loads(b64decode(json.loads(message)["body"]))
                count += sum(len(batch["recipient_ids"]) for batch in convoy)
        return count

    def wait_settled(self, timeout: float = 60) -> dict[str, int]:
        """The states, once every recipient has a final one."""
        wait_until(
            lambda: (
                not self.sql(f"SELECT 1 FROM spool_recipient WHERE state NOT IN {FINAL} LIMIT 1")
            ),
            timeout,
            lambda: f"everything settled; {self.states()}\n{self.logs()}",
        )
        return self.states()

    def logs(self) -> str:
        """The last lines of each process, for a failing test."""
        return "\n".join(
            f"--- {name}\n" + "\n".join(child.log().splitlines()[-8:])
            for name, child in self.children.items()
        )

    def stop(self) -> None:
        for child in self.children.values():
            if child.running:
                child.kill()
        assert self.operator.stdin
        assert self.operator.stdout
        self.operator.stdin.close()
        self.operator.stdout.close()
        self.operator.wait()
        self.valkey.stop()
        if self.postgres is not None:
            self.postgres.stop()
