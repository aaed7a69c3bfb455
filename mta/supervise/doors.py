"""Are the addresses free that the programs are going to listen at, and do they answer?"""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from mta.supervise.program import Door, Program
from mta.supervise.refusal import StartRefused

FIXES = {
    errno.EADDRINUSE: "is taken: stop what listens there, or set {variable} to another address",
    errno.EADDRNOTAVAIL: "is no address of this machine: set {variable} to one that is",
    errno.EACCES: "needs more rights: set {variable} to a port from 1024 up",
}
POLL = 0.1


def refuse_taken(programs: Sequence[Program]) -> None:
    """StartRefused names the address, the program that needs it, the variable and the fix."""
    with ExitStack() as held:  # all at once, so that an address given twice is noticed
        for program in programs:
            for door in program.doors:
                probe = held.enter_context(socket.socket(family(door), socket.SOCK_STREAM))
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((door.host, door.port))
                    probe.listen(1)
                except OSError as error:
                    fix = FIXES.get(error.errno or 0, f"cannot be used ({error.strerror})")
                    raise StartRefused(
                        f"{door.variable}: {door} (wanted by {program.name}) "
                        f"{fix.format(variable=door.variable)}."
                    ) from None


def wait_until_free(
    programs: Sequence[Program],
    seconds: float,
    *,
    now: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Give the processes of a killed supervisor `seconds` to let go; then StartRefused."""
    deadline = now() + seconds
    while True:
        try:
            return refuse_taken(programs)
        except StartRefused:
            if now() >= deadline:
                raise
        pause(POLL)


def answers(door: Door) -> bool:
    """Does somebody accept connections there? Takes at most a tenth of a second."""
    # Wildcard addresses are bound to, never connected to.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(door.host, door.host)  # noqa: S104
    with socket.socket(family(door), socket.SOCK_STREAM) as probe:
        probe.settimeout(POLL)
        return probe.connect_ex((host, door.port)) == 0


def family(door: Door) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in door.host else socket.AF_INET
