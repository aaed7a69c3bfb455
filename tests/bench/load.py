"""The injectors as processes: made ready, started when the clock starts, their CPU time counted."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.bench.crowd import Crowd
from tests.bench.options import ROOT

SMTP_SOURCE = shutil.which("smtp-source", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
SESSIONS = 20
#: Bytes of content that smtp-source makes, without headers.
CONTENT_BYTES = 2048


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
                raise AssertionError(f"{self.argv} ended before it was ready")

    def go(self, *, keep: bool = False) -> None:
        """Start the clock; `keep` its standard input open for as long as it shall work."""
        if self.process is None:
            self.start()
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.write("go\n" if self.waits else "")
        self.process.stdin.flush()
        if not keep:
            self.process.stdin.close()

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
            env={**os.environ, **self.environment},
        )  # fmt: skip
        atexit.register(self.kill)

    def finish(self) -> tuple[str, float]:
        """Wait for its end; what it printed, and its CPU seconds. AssertionError when it failed."""
        assert self.process is not None
        assert self.process.stdout is not None
        assert self.process.stdin is not None
        if not self.process.stdin.closed:
            self.process.stdin.close()
        printed = self.process.stdout.read()
        _, status, used = os.wait4(self.process.pid, 0)
        self.process.stdout.close()
        self.process.returncode = os.waitstatus_to_exitcode(status)
        atexit.unregister(self.kill)
        if self.process.returncode:
            raise AssertionError(f"{self.argv} ended with {self.process.returncode}")
        return printed, used.ru_utime + used.ru_stime

    @property
    def ended(self) -> bool:
        """Whether it is through with its work."""
        assert self.process is not None
        how = os.WEXITED | os.WNOHANG | os.WNOWAIT  # its CPU time is asked for later
        return os.waitid(os.P_PID, self.process.pid, how) is not None

    def kill(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            self.process.wait()

    def run(self) -> tuple[str, float]:
        """From start to end in one go."""
        self.prepare()
        self.go()
        return self.finish()


def by_api(url: str, key: str, crowd: Crowd, *options: str) -> Load:
    """Requests of 1,000 recipients each; `options` are the injector's."""
    words = [sys.executable, "-m", "tests.bench.injector", url, *crowd.words(), *options]
    return Load(words, waits=True, environment={"API_KEY": key})


def by_smtp(address: str, crowd: Crowd) -> Load:
    """One message a transaction over SESSIONS sessions that stay open; needs smtp-source."""
    if SMTP_SOURCE is None:
        raise SystemExit("relay needs smtp-source: install Debian's postfix")
    return Load([
        SMTP_SOURCE, "-d", "-s", str(SESSIONS), "-m", str(crowd.count), "-l", str(CONTENT_BYTES),
        "-N", "-f", "news@acme.test", "-t", f"{crowd.tag}@{crowd.domain}", address,
    ])  # fmt: skip


def probe(door: str, address: str, key: str, crowd: Crowd, *options: str) -> Load:
    """Single messages, one after another, with the instants at which each was handed in."""
    words = [sys.executable, "-m", "tests.bench.prober", door, address, *crowd.words(), *options]
    return Load(words, waits=True, environment={"API_KEY": key})
