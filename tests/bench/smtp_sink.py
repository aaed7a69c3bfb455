"""The sink of campaign, relay and backlog: Debian's smtp-sink, written in C, as the peer has it.

Without Debian's postfix it is the fake world itself, which costs more. In both cases the fake
world is the name server.
"""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from pathlib import Path

from tests.bench.crowd import DOMAIN
from tests.bench.sink import Sink
from tests.services.processes import ChildProcess
from tests.world.client import World

HOST = "127.99.0.1"
SMTP_SINK = shutil.which("smtp-sink", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
SESSIONS = 2000
RECIPIENT = re.compile(rb"^X-Rcpt-Args: <([^>\n]*)>.*\n", re.MULTILINE)


class SmtpSink(Sink):
    """Takes mail for sink.test and everything below it."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.world = World.start(folder / "world", keep_content=0, count_only=SMTP_SINK is not None)
        self.dns, self.port = self.world.dns, self.world.smtp_port
        world_pid = self.world.child.pid if self.world.child else 0
        if SMTP_SINK is None:
            self.name, self.roots = "tests.world", {"sink": world_pid}
            self.host = self.world.add_site(DOMAIN)[0]
        else:
            self.name, self.host = "smtp-sink", HOST
            self.world.set_records(f"mx.{DOMAIN}", "A", HOST)
            child = self.start(SMTP_SINK, folder)
            self.roots = {"dns": world_pid, "sink": child.pid}
            self.children.append(child)
        for name in (DOMAIN, f"*.{DOMAIN}"):
            exchanger = f"mx.{DOMAIN}" if SMTP_SINK else f"mx1.{DOMAIN}"
            self.world.set_records(name, "MX", f"10 {exchanger}")

    def start(self, program: str, folder: Path) -> ChildProcess:
        privileges = []
        if os.geteuid() == 0:  # it refuses to run as root
            self.folder.chmod(0o777)
            privileges = ["-u", "nobody"]
        words: list[str | Path] = [program, *privileges, "-m", str(SESSIONS), "-D", self.capture]
        return ChildProcess([*words, self.address, "1000"], output=folder / "sink.log")

    def accepted(self) -> Counter[str]:
        if SMTP_SINK is None:
            self.counts = self.world.times_accepted()
            return self.counts
        return super().accepted()

    def note(self, lines: bytes) -> None:
        self.counts.update(m.decode() for m in RECIPIENT.findall(lines))

    def message_bytes(self) -> int:
        """Of the capture, with the headers that smtp-sink adds."""
        taken = sum(self.counts.values())
        return self.read // taken if taken else 0

    def stop(self) -> None:
        super().stop()
        self.world.stop()
