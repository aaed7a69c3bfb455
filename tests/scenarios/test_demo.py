"""`make demo` on this machine: every receiver gets what it stands for, and Ctrl-C ends it all."""

from __future__ import annotations

import re
import signal
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.demo.cast import SOURCES, WARMUP_CAP
from tests.demo.injection import single_recipients
from tests.scenarios.test_up import ROOT, free_doors, processes_of, without_settings
from tests.services.processes import ChildProcess
from tests.world.cast import ROLES


@pytest.mark.timeout(400)
def test_the_demo(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("demo")
    doors = free_doors()
    demo = ChildProcess(
        [sys.executable, "-m", "tests.demo"],
        output=folder / "terminal.log",
        cwd=ROOT,
        env=without_settings({**doors, "DEMO_DIR": str(folder / "d"), "DEMO_EXIT": ""}),
    )
    with demo:
        demo.wait_for_log("The stack stays up until Ctrl-C", 330)
        log = demo.log()
        assert "1020 recipients, all as expected" in log
        for role in ROLES:
            assert re.search(rf"^{re.escape(role.domain)} .* ok$", log, re.MULTILINE)
        check_sources(log)
        page = f"http://{doors['MAILMILL_HTTP_BIND']}/readyz"
        with urllib.request.urlopen(page, timeout=10) as response:
            assert response.status == 200
        demo.signal(signal.SIGINT)
        assert demo.wait(20) == 0
    assert processes_of(Path(folder / "d")) == {}


def check_sources(log: str) -> None:
    """Both pools are used, and the warming source keeps to its cap."""
    sent = {
        name: (int(count), int(most))
        for name, count, most in re.findall(
            r"^\w+ +([\w-]+) +127\.0\.1\.\d +(\d+) +(\d+)", log, re.MULTILINE
        )
    }
    assert set(sent) == {name for _, name, _ in SOURCES}
    transactional = sent["transactional-1"][0] + sent["transactional-2"][0]
    delivered = {role.domain for role in ROLES if role.outcome == "delivered"}
    singles = [address.rpartition("@")[2] for address in single_recipients()]
    assert transactional == sum(domain in delivered for domain in singles)
    assert sent["marketing-warming"][0] > 0
    assert sent["marketing-warming"][1] <= WARMUP_CAP
    assert sent["marketing-1"][1] > WARMUP_CAP
    assert "from no source of a pool" not in log
