"""The receiving end of a benchmark: takes everything, and knows who got what how often.

With Debian's postfix it is smtp-sink, written in C, whose capture file is read along; without, the
fake world itself, which costs more. In both cases the fake world is the name server.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from tests.services.processes import ChildProcess, wait_until
from tests.world.client import World

DOMAIN = "sink.test"
HOST = "127.99.0.1"
SMTP_SINK = shutil.which("smtp-sink", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
SESSIONS = 2000
RECIPIENT = re.compile(rb"^X-Rcpt-Args: <([^>\n]*)>.*\n", re.MULTILINE)


class Sink:
    """A running sink for `anything@sink.test`."""

    def __init__(self, folder: Path) -> None:
        self.world = World.start(folder / "world", keep_content=0, count_only=SMTP_SINK is not None)
        self.roots = {"sink": self.world.child.pid if self.world.child else 0}
        self.child: ChildProcess | None = None
        self.read, self.rest, self.counts = 0, b"", Counter[str]()
        if SMTP_SINK is None:
            self.name = "tests.world"
            self.host = self.world.add_site(DOMAIN)[0]
            return
        self.name, self.host = "smtp-sink", HOST
        self.roots = {"dns": self.roots["sink"]}
        self.world.set_records(DOMAIN, "MX", f"10 mx.{DOMAIN}")
        self.world.set_records(f"mx.{DOMAIN}", "A", HOST)
        self.start(SMTP_SINK, folder)

    def start(self, program: str, folder: Path) -> None:
        # In memory: the capture must not wait for the disk that the spools commit to.
        shared = Path("/dev/shm")
        self.folder = Path(tempfile.mkdtemp(dir=shared if shared.is_dir() else folder))
        self.capture = self.folder / "capture"
        privileges = []
        if os.geteuid() == 0:  # it refuses to run as root
            self.folder.chmod(0o777)
            privileges = ["-u", "nobody"]
        words: list[str | Path] = [program, *privileges, "-m", str(SESSIONS), "-D", self.capture]
        words += [f"{self.host}:{self.world.smtp_port}", "1000"]
        self.child = ChildProcess(words, output=folder / "sink.log")
        self.roots["sink"] = self.child.pid

    @property
    def address(self) -> str:
        """host:port, for a peer that is told its next hop."""
        return f"{self.host}:{self.world.smtp_port}"

    def accepted(self) -> Counter[str]:
        """How often each recipient's mail was taken so far."""
        if self.child is None:
            return self.world.times_accepted()
        if not self.child.running:
            raise AssertionError(f"the sink ended: {self.child}")
        if self.capture.exists():
            with self.capture.open("rb") as file:
                file.seek(self.read)
                grown = file.read()
            self.read += len(grown)
            whole, newline, self.rest = (self.rest + grown).rpartition(b"\n")
            self.counts.update(m.decode() for m in RECIPIENT.findall(whole + newline))
        return self.counts

    def message_bytes(self) -> int:
        """Mean size of a message in the capture, with the headers that the sink adds; 0 unknown."""
        taken = sum(self.counts.values())
        return self.read // taken if taken else 0

    def wait_for(
        self, wanted: set[str], patience: float, meanwhile: Callable[[], None] = lambda: None
    ) -> float:
        """The instant (monotonic) at which all of `wanted` were there; the last growth when not.

        Gives up when nothing more came for `patience` seconds.
        """
        seen, grown_at = -1, time.monotonic()
        while True:
            meanwhile()
            missing = len(wanted - self.accepted().keys())
            now = time.monotonic()
            if missing == 0:
                return now
            if missing != seen:
                seen, grown_at = missing, now
            elif now - grown_at > patience:
                return grown_at
            time.sleep(0.05)

    def stop(self) -> None:
        if self.child is not None:
            self.child.kill()
            shutil.rmtree(self.folder, ignore_errors=True)
        self.world.stop()

    def __enter__(self) -> Sink:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def wait_ready(sink: Sink) -> None:
    """Wait until the sink takes connections."""
    import socket

    host, port = sink.address.rsplit(":", 1)

    def answers() -> bool:
        try:
            with socket.create_connection((host, int(port)), timeout=1) as connection:
                return connection.recv(3) == b"220"
        except OSError:
            return False

    wait_until(answers, 20, lambda: f"the sink at {sink.address}: {sink.child}")
