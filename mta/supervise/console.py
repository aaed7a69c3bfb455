"""The terminal that all processes share: one prefix and one colour per process.

Rule: a terminal that does not read (Ctrl-S, a stuck pipe) must not stop the mail, so nothing here
waits for it; what it cannot take is kept up to a bound and then left out, which is said.
"""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Mapping, Sequence

COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94, 31)
#: Bytes kept for a terminal that does not read.
KEPT = 1_000_000
#: A pipe that is reported writable takes this much without blocking (POSIX PIPE_BUF is 4096).
CHUNK = 4096
#: The prefix of what the supervisor says itself.
OWN_NAME = "mailmill"


def wants_colour(is_terminal: bool, environment: Mapping[str, str]) -> bool:
    """Colour on a terminal, unless NO_COLOR is set (no-color.org) or the terminal is dumb."""
    return is_terminal and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


def own_descriptor(descriptor: int) -> int:
    """The terminal behind `descriptor`, opened anew so that writing to it never blocks.

    A terminal takes less than it is asked to while it reports to be writable; setting the inherited
    descriptor non-blocking would change the shell's too. Anything but a terminal stays as it is.
    """
    if not os.isatty(descriptor):
        return descriptor
    try:
        return os.open(os.ttyname(descriptor), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:  # a terminal of another user (su): do without
        return descriptor


class Console:
    """Takes lines of bytes for a file descriptor and never blocks on it."""

    def __init__(self, descriptor: int, names: Sequence[str], *, colour: bool) -> None:
        self.descriptor = own_descriptor(descriptor)
        self.waiting = bytearray()
        self.left_out = 0
        self.open = True
        width = max(map(len, (OWN_NAME, *names)))
        self.prefixes = {OWN_NAME: prefix(OWN_NAME, width, 1 if colour else 0)}
        for at, name in enumerate(names):
            number = COLOURS[at % len(COLOURS)] if colour else 0
            self.prefixes[name] = prefix(name, width, number)

    def say(self, text: str) -> None:
        """The supervisor's own words, one or more lines."""
        for line in text.splitlines():
            self.line(OWN_NAME, line.encode())

    def line(self, name: str, line: bytes) -> None:
        """One line of a process, without its line end."""
        if len(self.waiting) > KEPT:
            self.left_out += 1
            return
        if self.left_out:
            note = f"({self.left_out} lines left out: the terminal did not read)".encode()
            self.left_out = 0
            self.line(OWN_NAME, note)
        self.waiting += self.prefixes[name] + line + b"\n"

    def flush(self, seconds: float = 0.0) -> None:
        """Write what the terminal takes at once; wait up to `seconds` for it to take some."""
        while self.waiting and self.open:
            if not select.select([], [self.descriptor], [], seconds)[1]:
                return
            try:
                written = os.write(self.descriptor, self.waiting[:CHUNK])
            except BlockingIOError:
                return
            except OSError:  # nobody is there any more: the mail goes on without an audience
                self.open = False
                break
            del self.waiting[:written]
        if not self.open:
            self.waiting.clear()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.flush(1.0)


def prefix(name: str, width: int, colour: int) -> bytes:
    text = f"{name:<{width}} |"
    return (f"\x1b[{colour}m{text}\x1b[0m " if colour else f"{text} ").encode()
