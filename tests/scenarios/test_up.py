"""`manage.py up`: the stack comes up, is watched over, and goes down in time with its claims."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.demo.environment import DOORS, clean
from tests.services.processes import ChildProcess, wait_until

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 90.0
PROGRAMS = ("valkey", "web", "smtpd", "dispatch", "resolve", "sign", "deliver", "classify", "beat",
            "flower")  # fmt: skip


def free_doors() -> dict[str, str]:
    """A free loopback address for every door."""
    with ExitStack() as held:
        doors = {}
        for variable in DOORS:
            probe = held.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            doors[variable] = f"127.0.0.1:{probe.getsockname()[1]}"
        return doors


class Stack:
    """`manage.py up` on a folder of its own, and the commands beside it."""

    def __init__(self, folder: Path, doors: dict[str, str]) -> None:
        self.folder = folder
        self.doors = doors
        self.environment = {
            **clean(os.environ),
            **doors,
            "MAILMILL_DATA_DIR": str(folder / "data"),
            "MAILMILL_HOSTNAME": "mail.test",
        }

    def up(self, name: str = "up.log") -> ChildProcess:
        argv = [sys.executable, "manage.py", "up"]
        return ChildProcess(
            argv, output=self.folder / name, cwd=ROOT, env=without_settings(self.environment)
        )

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "manage.py", *words],
            env=self.environment, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def get(self, path: str, **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self.doors["MAILMILL_HTTP_BIND"], timeout=10)
        try:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


def without_settings(environment: dict[str, str]) -> dict[str, str]:
    """ChildProcess adds to our environment: settings that are ours must not shine through."""
    ours = {name: "" for name in os.environ if name.startswith("MAILMILL_")}
    return {**ours, **environment}


def processes_of(folder: Path) -> dict[int, str]:
    """Commands of all processes whose environment names the data folder."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if f"MAILMILL_DATA_DIR={folder}".encode() in (entry / "environ").read_bytes():
                    found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
            except OSError:
                continue  # it ended meanwhile
    return found


@pytest.fixture
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    # Short: the path of Valkey's socket has to fit into 107 bytes.
    stack = Stack(tmp_path_factory.mktemp("up"), free_doors())
    yield stack
    for pid in processes_of(stack.folder / "data"):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.timeout(240)
def test_the_whole_stack(stack: Stack) -> None:
    with stack.up() as up:
        up.wait_for_log("mailmill | up after", START_SECONDS)
        assert "nobody can log in yet: run manage.py createsuperuser" in up.log()
        assert "manage.py create_tenant NAME" in up.log()
        wait_until(lambda: stack.get("/readyz")[0] == 200, 20, "readyz")

        # Flower, through the dashboard's login and directly.
        assert stack.get("/flower/")[0] == 302
        wait_until(
            lambda: b"deliver@" in as_admin(stack, "/flower/workers"), 40, f"workers in Flower {up}"
        )
        address = stack.doors["MAILMILL_FLOWER_BIND"]
        direct = http.client.HTTPConnection(address, timeout=10)
        direct.request("GET", "/flower/workers")
        assert direct.getresponse().status == 401
        direct.close()

        # A second one on the folder is refused, naming the first.
        second = stack.run("up")
        assert second.returncode == 1
        assert f"already runs on {stack.folder / 'data'} (process {up.pid})" in second.stderr

        # What dies is replaced.
        worker = next(pid for pid, words in processes_of(stack.folder / "data").items()
                      if "-A tasks.worker" in words and "sign@" in words)  # fmt: skip
        os.kill(worker, signal.SIGKILL)
        up.wait_for_log("sign (process", 10)
        assert f"sign (process {worker}) ended with signal SIGKILL" in up.log()

        begun = time.monotonic()
        assert up.terminate(12) == 0
        assert time.monotonic() - begun < 10
        assert "killing what has not ended" not in up.log()
    said = re.findall(r"^(\w+) +\|", up.log(), re.MULTILINE)
    assert set(PROGRAMS) - {"valkey", "web"} <= set(said)
    assert processes_of(stack.folder / "data") == {}


def as_admin(stack: Stack, path: str) -> bytes:
    """A page as a superuser sees it, with a session made beside the login form."""
    if not hasattr(stack, "cookie"):
        code = (
            "from django.contrib.auth import BACKEND_SESSION_KEY as B, HASH_SESSION_KEY as H, "
            "SESSION_KEY as S\n"
            "from django.contrib.sessions.backends.db import SessionStore\n"
            "from mta.tenants.models import User\n"
            "user = User.objects.create_superuser('admin', password='x')\n"
            "store = SessionStore()\n"
            "store[S] = str(user.pk)\n"
            "store[B] = 'django.contrib.auth.backends.ModelBackend'\n"
            "store[H] = user.get_session_auth_hash()\n"
            "store.create()\n"
            "import json; print(json.dumps({'key': store.session_key}))\n"
        )
        made = stack.run("shell", "--verbosity", "0", "-c", code)
        assert made.returncode == 0, made.stderr
        stack.cookie = f"sessionid={json.loads(made.stdout)['key']}"  # type: ignore[attr-defined]
    status, body = stack.get(path, Cookie=stack.cookie)  # type: ignore[attr-defined]
    assert status == 200, body
    return body


@pytest.mark.timeout(120)
def test_a_killed_supervisor_takes_the_stack_along_and_the_next_one_starts(stack: Stack) -> None:
    with stack.up() as first:
        first.wait_for_log("mailmill | up after", START_SECONDS)
        os.kill(first.pid, signal.SIGKILL)
        with stack.up("again.log") as again:
            again.wait_for_log("mailmill | up after", START_SECONDS)
            assert "the last run was killed" in again.log()
            assert again.terminate(12) == 0


def test_a_taken_port_is_named_before_anything_starts(stack: Stack) -> None:
    host, port = stack.doors["MAILMILL_SUBMISSION_BIND"].split(":")
    with socket.create_server((host, int(port))):
        refused = stack.run("up")
    assert refused.returncode == 1
    assert (
        refused.stderr.strip()
        .splitlines()[-1]
        .startswith(
            f"CommandError: MAILMILL_SUBMISSION_BIND: {host}:{port} (wanted by smtpd) is taken"
        )
    )
    assert not (stack.folder / "data" / "valkey.sock").exists()


def test_a_data_folder_that_is_too_deep_is_refused(stack: Stack) -> None:
    deep = stack.folder / ("d" * 100)
    stack.environment["MAILMILL_DATA_DIR"] = str(deep)
    refused = stack.run("up")
    assert refused.returncode == 1
    assert f"MAILMILL_DATA_DIR: {deep} is too long" in refused.stderr
