"""Child processes of tests with their output, and the one place in tests that polls."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TypeVar

Value = TypeVar("Value")
POLL = 0.02


def wait_until(
    condition: Callable[[], Value], timeout: float, what: str | Callable[[], object]
) -> Value:
    """The first true value of `condition`; AssertionError names `what` after `timeout` seconds.

    A callable `what` is asked at the end, for a log that is still growing.
    """
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            said = what() if callable(what) else what
            raise AssertionError(f"not within {timeout:g} s: {said}")
        time.sleep(POLL)


class ChildProcess:
    """A process in a session of its own; as a context manager it is stopped at the end.

    `output` is the file that takes standard output and error. Children left at interpreter exit
    are killed with all their descendants unless they are `outlives`; a child that must not
    outlive a killed test run needs `hold_stdin` and must stop at the end of its input.
    """

    def __init__(
        self,
        argv: Sequence[str | Path],
        *,
        output: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        hold_stdin: bool = False,
        user: str | None = None,
        outlives: bool = False,
    ) -> None:
        self.argv = [str(word) for word in argv]
        self.output = output
        output.parent.mkdir(parents=True, exist_ok=True)
        with output.open("ab") as file:
            self.process = subprocess.Popen(
                self.argv,
                stdin=subprocess.PIPE if hold_stdin else subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, **env} if env is not None else None,
                cwd=cwd,
                start_new_session=True,
                user=user,
                group=None if user is None else user_group(user),
                extra_groups=None if user is None else (),
            )
        if not outlives:
            atexit.register(self.kill)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def log(self) -> str:
        return self.output.read_text(errors="replace")

    def wait_for_log(self, text: str, timeout: float) -> None:
        """AssertionError with the end of the log when the process ends or time is up first."""
        wait_until(
            lambda: text in self.log() or not self.running,
            timeout,
            lambda: f"{text!r} in the output of {self}",
        )
        if text not in self.log():
            raise AssertionError(f"{self} ended without {text!r}")

    def signal(self, number: int) -> None:
        """To this process alone."""
        if self.running:
            self.process.send_signal(number)

    def terminate(self, timeout: float = 10.0) -> int:
        """SIGTERM; the exit code. AssertionError when it takes longer than `timeout` seconds."""
        self.signal(signal.SIGTERM)
        return self.wait(timeout)

    def wait(self, timeout: float) -> int:
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self} still runs after {timeout:g} s") from None
        self.forget()
        return code

    def kill(self) -> int:
        """SIGKILL to the process and all its descendants that stayed in its session."""
        # A group outlives its leader as long as a descendant lives; its id cannot be taken before
        # that.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        code = self.process.wait(10)
        self.forget()
        return code

    def forget(self) -> None:
        if self.process.stdin is not None:
            self.process.stdin.close()
        atexit.unregister(self.kill)

    def __str__(self) -> str:
        tail = "\n".join(self.log().splitlines()[-20:])
        return f"{' '.join(self.argv)} (pid {self.pid}, exit code {self.process.poll()})\n{tail}\n"

    def __enter__(self) -> ChildProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop politely, then kill what is left."""
        try:
            self.terminate()
        finally:
            self.kill()


def user_group(user: str) -> int:
    import pwd

    return pwd.getpwnam(user).pw_gid
