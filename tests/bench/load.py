"""The injectors as processes: made ready, started when the clock starts, their CPU time at the end.

Recipients are 1TAG@sink.test, 2TAG@sink.test ... in both.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.bench.options import ROOT
from tests.bench.sink import DOMAIN

SMTP_SOURCE = shutil.which("smtp-source", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
SESSIONS = 20
#: Bytes of content that smtp-source makes, without headers.
CONTENT_BYTES = 2048


def recipients(count: int, tag: str) -> set[str]:
    return {f"{number}{tag}@{DOMAIN}" for number in range(1, count + 1)}


@dataclass(slots=True)
class Load:
    """One injector; `argv` is its command, `waits` whether it prints a line and waits for one."""

    argv: list[str]
    waits: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None

    def prepare(self) -> None:
        if self.waits:
            self.start()
            assert self.process is not None
            assert self.process.stdout is not None
            if not self.process.stdout.readline():
                raise AssertionError(f"{self.argv[0]} ended before it was ready")

    def go(self) -> None:
        if self.process is None:
            self.start()
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.write("go\n" if self.waits else "")
        self.process.stdin.close()

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
            env={**os.environ, **self.environment},
        )  # fmt: skip

    def finish(self) -> float:
        """Wait for its end; its CPU seconds. AssertionError when it failed."""
        assert self.process is not None
        assert self.process.stdout is not None
        _, status, used = os.wait4(self.process.pid, 0)
        self.process.stdout.close()
        self.process.returncode = os.waitstatus_to_exitcode(status)
        if self.process.returncode:
            raise AssertionError(f"{self.argv} ended with {self.process.returncode}")
        return used.ru_utime + used.ru_stime


def by_api(url: str, key: str, count: int, tag: str) -> Load:
    """Requests of 1,000 recipients each."""
    words = [sys.executable, "-m", "tests.bench.injector", url, str(count), tag]
    return Load(words, waits=True, environment={"API_KEY": key})


def by_smtp(address: str, count: int, tag: str) -> Load:
    """One message a transaction over SESSIONS sessions that stay open; needs smtp-source."""
    if SMTP_SOURCE is None:
        raise SystemExit("relay needs smtp-source: install Debian's postfix")
    return Load([
        SMTP_SOURCE, "-d", "-s", str(SESSIONS), "-m", str(count), "-l", str(CONTENT_BYTES),
        "-N", "-f", "news@acme.test", "-t", f"{tag}@{DOMAIN}", address,
    ])  # fmt: skip
