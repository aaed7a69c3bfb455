"""Signals as bytes in a pipe, so that the loop sees them as it sees output."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def signal_pipe() -> Iterator[int]:
    """The read end of a pipe that takes the number of each signal.

    Afterwards the signals that stop are ignored: the process is about to end with its own exit
    code, and one Ctrl-C more must not change that.
    """
    read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    before = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    for number in (*STOPS, signal.SIGCHLD):
        # A handler has to be there, or the default action is taken instead of the pipe.
        signal.signal(number, lambda _number, _frame: None)
    try:
        yield read
    finally:
        for number in STOPS:
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.set_wakeup_fd(before)
        os.close(read)
        os.close(write)


def received(pipe: int) -> set[int]:
    """The signals that have come since the last call."""
    with contextlib.suppress(BlockingIOError):
        return set(os.read(pipe, 4096))
    return set()
