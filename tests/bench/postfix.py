"""The peer: Debian's Postfix with OpenDKIM as a milter, in a folder of its own, tuned for speed.

Its configuration is in peer/; `{name}` in a file is replaced. Postfix must be started by root.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from types import TracebackType

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.bench.ports import free_ports, listens
from tests.bench.sink import Sink
from tests.services.processes import ChildProcess, wait_until

PROGRAMS = ("postfix", "opendkim", "smtp-source")
TEMPLATES = Path(__file__).parent / "peer"
NAME = "Postfix + OpenDKIM"
START_SECONDS = 30.0


def why_not() -> str:
    """Why the peer cannot be measured here; "" when it can."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"
    missing = [program for program in PROGRAMS if shutil.which(program, path=path) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    return "" if os.geteuid() == 0 else "only root may start Postfix"


class Peer:
    """A running Postfix that signs and relays everything to `sink`."""

    def __init__(self, folder: Path, sink: Sink) -> None:
        self.folder = folder
        self.config, self.queue = folder / "config", folder / "queue"
        for made in (self.config, self.queue, folder / "lib"):
            made.mkdir(mode=0o755, parents=True)
        shutil.chown(folder / "lib", "postfix")
        for above in (folder, *folder.parents):  # Postfix's processes are not root
            if above.stat().st_mode & 0o001 == 0:
                above.chmod(above.stat().st_mode | 0o011)
        (port,) = free_ports(1)
        self.address = f"127.0.0.1:{port}"
        host, sink_port = sink.address.rsplit(":", 1)
        self.values = {
            "folder": str(folder),
            "listen": self.address,
            "sink": f"[{host}]:{sink_port}",
        }
        for name in ("main.cf", "master.cf", "opendkim.conf"):
            self.write(name)
        self.make_key()
        self.children = {
            "opendkim": ChildProcess(
                ["/usr/sbin/opendkim", "-f", "-x", self.config / "opendkim.conf"],
                output=folder / "opendkim.log",
            )
        }
        milter = folder / "milter.sock"
        wait_until(milter.exists, START_SECONDS, lambda: f"OpenDKIM: {self.children['opendkim']}")
        self.children["postfix"] = ChildProcess(
            ["/usr/sbin/postfix", "-c", self.config, "start-fg"], output=folder / "postfix.log"
        )
        wait_until(lambda: listens(self.address), START_SECONDS, self.log)

    def write(self, name: str) -> None:
        """One configuration file from its template."""
        text = (TEMPLATES / name).read_text()
        for key, value in self.values.items():
            text = text.replace(f"{{{key}}}", value)
        (self.config / name).write_text(text)

    def make_key(self) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
        path = self.folder / "key.pem"
        path.touch(mode=0o600)
        path.write_bytes(pem)

    def roots(self) -> dict[str, int]:
        return {name: child.pid for name, child in self.children.items()}

    def log(self) -> str:
        maillog = self.folder / "maillog"
        text = maillog.read_text()[-2000:] if maillog.exists() else ""
        return f"Postfix: {self.children['postfix']}\n{text}"

    def stop(self) -> None:
        subprocess.run(
            ["/usr/sbin/postfix", "-c", self.config, "abort"], check=False,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        for child in self.children.values():
            child.kill()

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
