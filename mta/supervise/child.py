"""A program while it runs: started, listened to, told to stop, killed, reaped."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping

from mta.supervise.program import Program

#: A line longer than this is shown in pieces.
LONGEST_LINE = 65_536
#: C0 and C1 controls but the tab: a reply from afar, quoted in a log line, must not steer the
#: operator's terminal.
CONTROLS = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]|\xc2[\x80-\x9f]")
PR_SET_PDEATHSIG = 1
# Loaded before any fork: a child between fork and exec must not import or allocate much.
LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class Child:
    """One running process in a process group of its own, so that Ctrl-C reaches only us."""

    def __init__(self, program: Program, environment: Mapping[str, str], now: float) -> None:
        """OSError when the program cannot be started."""
        self.program = program
        self.started_at = now
        self.partial = b""
        supervisor = os.getpid()

        def end_with_the_supervisor() -> None:
            # SIGTERM, not SIGKILL: it lets a server stop the processes that it has started.
            if LIBC is not None:
                LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
                if os.getppid() != supervisor:  # it died before prctl
                    os._exit(1)

        # One thread only, so a function between fork and exec is safe.
        self.process = subprocess.Popen(
            program.argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            process_group=0,
            preexec_fn=end_with_the_supervisor,  # noqa: PLW1509
        )
        assert self.process.stdout is not None  # noqa: S101  # stdout=PIPE
        self.output = self.process.stdout.fileno()
        os.set_blocking(self.output, False)

    @property
    def pid(self) -> int:
        return self.process.pid

    def lines(self) -> Iterator[bytes]:
        """Complete lines that have arrived; without line end and without terminal controls."""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self.output, LONGEST_LINE):
                *complete, self.partial = (self.partial + data).split(b"\n")
                yield from map(without_controls, complete)
                if len(self.partial) > LONGEST_LINE:
                    yield without_controls(self.partial)
                    self.partial = b""

    def terminate(self) -> None:
        """SIGTERM to the process itself; it stops its own children."""
        self.process.terminate()

    def kill(self) -> None:
        """SIGKILL to everything in its group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def reap(self) -> tuple[int, list[bytes]]:
        """Exit code and last lines of a process that has ended.

        What it left in its group goes with it, before its id can be given to another process.
        """
        self.kill()
        rest = list(self.lines())
        if self.partial:
            rest.append(without_controls(self.partial))
        self.partial = b""
        code = self.process.wait()
        assert self.process.stdout is not None  # noqa: S101
        self.process.stdout.close()
        return code, rest


def without_controls(line: bytes) -> bytes:
    """The line with a question mark for each control; a carriage return at its end goes."""
    return CONTROLS.sub(b"?", line.rstrip(b"\r"))


def describe(code: int) -> str:
    """An exit code in words; negative is the signal that ended the process."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
