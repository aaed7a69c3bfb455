"""The supervisor over harmless programs: order, restarts, signals, and nothing left behind."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.services.processes import wait_until
from tests.unit.supervise.harmless import POLITE, ROOT, STUBBORN, start

ORDERS = ("DISPATCH", "DOORS", "WORKERS", "BEAT", "FLOWER", "DRAIN", "BROKER")
FAILING = "import sys; print('broken', flush=True); sys.exit(3)"


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def saying_pid(code: str = POLITE) -> str:
    return f"import os\nprint('pid', os.getpid(), flush=True)\n{code}"


def pids(log: str) -> list[int]:
    return [int(number) for number in re.findall(r"\| pid (\d+)", log)]


def test_programs_stop_in_order(tmp_path: Path) -> None:
    programs: list[dict[str, Any]] = [
        {"name": order.lower(), "code": POLITE, "stop_order": order} for order in reversed(ORDERS)
    ]
    with start(tmp_path, programs) as up:
        wait_until(lambda: up.log().count("ready") == len(ORDERS), 20, f"start of {up}")
        assert up.terminate(10) == 0
        assert re.findall(r"(\w+) +\| bye", up.log()) == [order.lower() for order in ORDERS]


def test_a_step_of_the_stop_runs_between_workers_and_broker(tmp_path: Path) -> None:
    step = "import time; time.sleep(0.3); print('drained', flush=True)"
    programs: list[dict[str, Any]] = [
        {"name": "deliver", "code": POLITE, "stop_order": "WORKERS"},
        {"name": "drain", "code": step, "stop_order": "DRAIN", "at_stop": True},
        {"name": "valkey", "code": POLITE, "stop_order": "BROKER"},
    ]
    with start(tmp_path, programs) as up:
        wait_until(lambda: up.log().count("ready") == 2, 20, f"start of {up}")
        assert "drained" not in up.log()
        assert up.terminate(10) == 0
        said = re.findall(r"(\w+) +\| (?:bye|drained)", up.log())
        assert said == ["deliver", "drain", "valkey"]


def test_ctrl_c_stops_as_sigterm_does(tmp_path: Path) -> None:
    with start(tmp_path, [{"name": "web", "code": POLITE}]) as up:
        up.wait_for_log("web      | ready", 20)
        up.signal(signal.SIGINT)
        assert up.wait(10) == 0
        assert "bye" in up.log()


def test_what_ignores_sigterm_is_killed_within_ten_seconds(tmp_path: Path) -> None:
    programs: list[dict[str, Any]] = [
        {"name": "stubborn", "code": saying_pid(STUBBORN), "stop_order": "WORKERS"},
        {"name": "valkey", "code": POLITE, "stop_order": "BROKER"},
    ]
    with start(tmp_path, programs) as up:
        wait_until(lambda: up.log().count("ready") == 2, 20, f"start of {up}")
        begun = time.monotonic()
        assert up.terminate(12) == 0
        assert time.monotonic() - begun < 10
        assert "killing what has not ended: stubborn" in up.log()
        assert "valkey   | bye" in up.log()
        assert not any(map(is_alive, pids(up.log())))


def test_a_second_ctrl_c_kills_at_once(tmp_path: Path) -> None:
    with start(tmp_path, [{"name": "stubborn", "code": STUBBORN}]) as up:
        up.wait_for_log("stubborn | ready", 20)
        up.signal(signal.SIGINT)
        up.wait_for_log("stopping", 5)

        def impatient() -> bool:
            up.signal(signal.SIGINT)
            return not up.running

        wait_until(impatient, 4, "an end before the patience with workers is over")
        assert up.wait(1) == 0


def test_a_program_that_ends_is_started_again_later_and_later(tmp_path: Path) -> None:
    programs = [{"name": "broken", "code": FAILING}, {"name": "web", "code": POLITE}]
    with start(tmp_path, programs) as up:
        up.wait_for_log("exit code 3; starting it again in 1 s", 20)
        up.wait_for_log("exit code 3; starting it again in 2 s", 20)
        assert up.log().count("broken   | broken") == 2
        assert up.log().count("ready") == 1


def test_a_killed_program_is_replaced_and_its_children_go_with_it(tmp_path: Path) -> None:
    # A server that is killed leaves workers of its own, which would hold its port.
    parent = (
        "import subprocess, sys\n"
        f"subprocess.Popen([sys.executable, '-c', {saying_pid(STUBBORN)!r}])\n" + saying_pid(POLITE)
    )
    with start(tmp_path, [{"name": "web", "code": parent}]) as up:
        wait_until(lambda: up.log().count("ready") == 2, 20, f"start of {up}")
        first = pids(up.log())
        os.kill(next(pid for pid in first if os.getpgid(pid) == pid), signal.SIGKILL)
        wait_until(lambda: up.log().count("ready") == 4, 20, f"restart in {up}")
        assert "ended with signal SIGKILL" in up.log()
        wait_until(lambda: not any(map(is_alive, first)), 5, "the first family is gone")


def test_the_death_of_the_supervisor_ends_its_programs(tmp_path: Path) -> None:
    with start(tmp_path, [{"name": "web", "code": saying_pid()}]) as up:
        up.wait_for_log("web      | ready", 20)
        (pid,) = pids(up.log())
        os.kill(up.pid, signal.SIGKILL)
        wait_until(lambda: not is_alive(pid), 5, "the program follows the supervisor")


def test_orders_start_one_after_the_other(tmp_path: Path) -> None:
    slow = "import time; time.sleep(0.5); print('done', flush=True)"
    programs: list[dict[str, Any]] = [
        {"name": "migrate", "code": slow, "start_order": "SCHEMA", "once": True},
        {"name": "web", "code": POLITE},
    ]
    with start(tmp_path, programs) as up:
        up.wait_for_log("web      | ready", 20)
        assert up.log().index("done") < up.log().index("ready")
        up.terminate()
        assert "migrate" not in up.log().split("ready")[1]


def test_a_failed_migration_ends_the_start(tmp_path: Path) -> None:
    programs: list[dict[str, Any]] = [
        {"name": "migrate", "code": FAILING, "start_order": "SCHEMA", "once": True},
        {"name": "web", "code": POLITE},
    ]
    with start(tmp_path, programs) as up:
        assert up.wait(20) == 1
        assert "migrate failed with exit code 3" in up.log()
        assert "ready" not in up.log()


def test_what_programs_say_cannot_steer_the_terminal(tmp_path: Path) -> None:
    evil = "550 \x1b]0;owned\x07\x9b2J no\r\n"
    code = f"import sys; sys.stdout.buffer.write({evil.encode()!r}); sys.stdout.flush()\n{POLITE}"
    with start(tmp_path, [{"name": "web", "code": code}]) as up:
        up.wait_for_log("web      | ready", 20)
        assert "web      | 550 ?]0;owned??2J no\n" in up.log()


def test_a_terminal_that_does_not_read_does_not_stop_the_work(tmp_path: Path) -> None:
    """Ctrl-S in the operator's terminal: programs keep running and can still be stopped."""
    done = tmp_path / "done"
    talkative = (
        "import pathlib\n"
        "for _ in range(30000): print('x' * 100)\n"
        f"pathlib.Path({str(done)!r}).touch()\n" + POLITE
    )
    plan = tmp_path / "programs.json"
    plan.write_text(json.dumps([{"name": "web", "code": talkative}]))
    master, slave = pty.openpty()
    up = subprocess.Popen(
        [sys.executable, "-m", "tests.unit.supervise.harmless", plan],
        stdout=slave, stdin=subprocess.DEVNULL, cwd=ROOT,
    )  # fmt: skip
    try:
        wait_until(done.exists, 30, "three megabytes written to a terminal that nobody reads")
        up.terminate()
        assert up.wait(10) == 0
    finally:
        up.kill()
        up.wait()
        os.close(slave)
        os.close(master)
