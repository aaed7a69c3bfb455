"""Are the addresses free that the programs are going to listen at, and are they open?"""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from mta.supervise.program import Door, Program
from mta.supervise.refusal import StartRefused

FIXES = {
    errno.EADDRINUSE: "is taken: stop what listens there, or set {variable} to another address",
    errno.EADDRNOTAVAIL: "is no address of this machine: set {variable} to one that is",
    errno.EACCES: "needs more rights: set {variable} to a port from 1024 up",
}
POLL = 0.1
#: Tables of the kernel, and its number for the state LISTEN (proc(5), include/net/tcp_states.h).
LISTENERS = (Path("/proc/self/net/tcp"), Path("/proc/self/net/tcp6"))
TCP_LISTEN = "0A"


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


def open_ports() -> set[int]:
    """Ports that somebody listens at, as the kernel has them.

    Connecting would leave a line about a broken session in the log of every door.
    """
    ports = set()
    for table in LISTENERS:
        with suppress(FileNotFoundError):  # a kernel without IPv6
            for row in table.read_text().splitlines()[1:]:
                _, local, _, state, *_ = row.split()
                if state == TCP_LISTEN:
                    ports.add(int(local.rpartition(":")[2], 16))
    return ports


def family(door: Door) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in door.host else socket.AF_INET
