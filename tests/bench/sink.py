"""The receiving end of a benchmark: what every kind of it offers.

It takes everything and knows who got what how often; the capture that its process appends to is
read along. It names its name server, so that the stack's world is this sink.
"""

from __future__ import annotations

import shutil
import socket
import tempfile
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.services.processes import ChildProcess, wait_until

READY_SECONDS = 20.0
POLL_SECONDS = 0.05


class Sink(ABC):
    """A running sink for mail to anybody."""

    #: What the conditions call it.
    name: str
    #: host:port of the name server, and port of all mail hosts.
    dns: str
    port: int
    #: One of its hosts, for a peer that is told its next hop.
    host: str
    #: Kind of process to process id.
    roots: dict[str, int]

    def __init__(self) -> None:
        # In memory: the capture must not wait for the disk that the spools commit to.
        shared = Path("/dev/shm")
        self.folder = Path(tempfile.mkdtemp(dir=shared if shared.is_dir() else None))
        self.capture = self.folder / "capture"
        self.read, self.rest = 0, b""
        self.counts = Counter[str]()
        self.children: list[ChildProcess] = []

    @abstractmethod
    def note(self, lines: bytes) -> None:
        """Count what whole lines of the capture say."""

    @property
    def address(self) -> str:
        """host:port."""
        return f"{self.host}:{self.port}"

    def accepted(self) -> Counter[str]:
        """How often each recipient's mail was taken so far."""
        for child in self.children:
            if not child.running:
                raise AssertionError(f"the sink ended: {child}")
        if self.capture.exists():
            with self.capture.open("rb") as file:
                file.seek(self.read)
                grown = file.read()
            self.read += len(grown)
            whole, newline, self.rest = (self.rest + grown).rpartition(b"\n")
            self.note(whole + newline)
        return self.counts

    def message_bytes(self) -> int:
        """Mean size of a message, as the sink saw it; 0 unknown."""
        return 0

    def wait_for(
        self, wanted: Iterable[str], patience: float,
        meanwhile: Callable[[int], None] = lambda _: None,
    ) -> float:  # fmt: skip
        """The instant (monotonic) at which all of `wanted` were there; the last growth when not.

        Gives up when nothing more came for `patience` seconds. `meanwhile` is told how many came.
        """
        missing = set(wanted).difference(self.accepted())
        total, before = len(missing), len(self.counts)

        def came() -> int:
            nonlocal missing
            grown = len(self.accepted()) - before
            if grown < total:
                return grown
            missing = missing.difference(self.counts)  # there may be others among them
            return total - len(missing)

        return self.wait_until(came, total, patience, meanwhile)

    def wait_for_count(
        self, count: int, patience: float, meanwhile: Callable[[int], None] = lambda _: None
    ) -> float:
        """The same for any `count` recipients beyond those who were there already."""
        before = len(self.accepted())
        return self.wait_until(lambda: len(self.accepted()) - before, count, patience, meanwhile)

    def wait_until(
        self, came: Callable[[], int], total: int, patience: float, meanwhile: Callable[[int], None]
    ) -> float:
        seen, grown_at = 0, time.monotonic()
        while seen < total:
            now, number = time.monotonic(), came()
            if number != seen:
                seen, grown_at = number, now
            elif now - grown_at > patience:
                break
            meanwhile(seen)
            if seen < total:
                time.sleep(POLL_SECONDS)
        return grown_at

    def wait_ready(self) -> None:
        """Wait until it takes connections."""

        def answers() -> bool:
            try:
                with socket.create_connection((self.host, self.port), timeout=1) as connection:
                    return connection.recv(3) == b"220"
            except OSError:
                return False

        wait_until(answers, READY_SECONDS, lambda: f"the sink at {self.address}: {self.children}")

    def stop(self) -> None:
        for child in self.children:
            child.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        self.wait_ready()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
