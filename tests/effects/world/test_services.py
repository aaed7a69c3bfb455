"""PostgreSQL and child processes of tests start, are shared, and are gone afterwards."""

from __future__ import annotations

import signal
import sys

import psutil
import psycopg
import pytest

from tests.services.postgres import Postgres
from tests.services.processes import ChildProcess, wait_until


def servers(port: int) -> list[int]:
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if f"port={port}" in (process.info["cmdline"] or [])
    ]


def test_private_server_is_gone_after_stop():
    with Postgres() as server:
        url = server.create_database("one")
        with psycopg.connect(url) as connection:
            assert connection.execute("select current_database()").fetchone() == ("one",)
            assert connection.execute("show fsync").fetchone() == ("off",)
        assert servers(server.port)
    assert not servers(server.port)
    assert not server.folder.exists()


def test_shared_server_stops_after_its_last_user(tmp_path):
    first, second = Postgres(tmp_path), Postgres(tmp_path)
    assert first.url == second.url
    first.stop()
    with psycopg.connect(second.url) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    second.stop()
    wait_until(lambda: not servers(second.port), 10, "the end of the server")
    third = Postgres(tmp_path)
    assert third.create_database("again")
    third.stop()
    wait_until(lambda: not servers(third.port), 10, "the end of the server")


def test_server_stops_when_its_user_is_killed(tmp_path):
    code = (
        "import sys; from pathlib import Path; from tests.services.postgres import Postgres;"
        "p = Postgres(Path(sys.argv[1])); print(p.port, flush=True); sys.stdin.read()"
    )
    words = [sys.executable, "-c", code, tmp_path / "pg"]
    user = ChildProcess(words, output=tmp_path / "log", hold_stdin=True)
    port = int(wait_until(user.log, 20, "a port"))
    assert servers(port)
    user.signal(signal.SIGKILL)
    assert user.wait(5) == -signal.SIGKILL
    wait_until(lambda: not servers(port), 10, "the end of the server")


def test_child_that_ends_early_is_an_error_with_its_log(tmp_path):
    child = ChildProcess([sys.executable, "-c", "print('oh no')"], output=tmp_path / "log")
    with pytest.raises(AssertionError, match="oh no"):
        child.wait_for_log("ready", 10)
    assert child.wait(5) == 0


def test_terminate_and_kill_with_descendants(tmp_path):
    code = (
        "import subprocess, sys, time;"
        "c = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        "print(f'child {c.pid}.', flush=True); time.sleep(60)"
    )
    child = ChildProcess([sys.executable, "-c", code], output=tmp_path / "log")
    child.wait_for_log(".", 10)
    grandchild = psutil.Process(int(child.log().split()[1].rstrip(".")))
    assert child.kill() == -signal.SIGKILL
    wait_until(
        lambda: not grandchild.is_running() or grandchild.status() == psutil.STATUS_ZOMBIE,
        5,
        "the end of the grandchild",
    )
    polite = ChildProcess([sys.executable, "-c", code], output=tmp_path / "log2")
    polite.wait_for_log(".", 10)
    assert polite.terminate(5) == -signal.SIGTERM
    polite.kill()


def test_child_that_does_not_stop_is_an_error(tmp_path):
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True)"
    child = ChildProcess([sys.executable, "-c", code + "; time.sleep(60)"], output=tmp_path / "l")
    child.wait_for_log("up", 10)
    with pytest.raises(AssertionError, match="still runs"):
        child.terminate(0.1)
    child.kill()


def test_waiting_for_what_never_comes_names_it():
    with pytest.raises(AssertionError, match="within 0 s: godot"):
        wait_until(lambda: False, 0, "godot")
