"""A real listener on loopback in a thread of its own, and a raw client that says exact bytes."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any

from mta.smtpd.config import Bind, Kind, SmtpdConfig
from mta.smtpd.server import SmtpServer, loop_factory

LOOPBACK = ipaddress.ip_network("127.0.0.1/32")
LETTER = b"From: a@acme.example\r\nTo: b@remote.example\r\nSubject: hello\r\n\r\nBody\r\n"


def config(folder, **changes: Any) -> SmtpdConfig:
    """All three listeners on free ports; 127.0.0.1 is trusted, 127.0.0.2 is not."""
    values: dict[str, Any] = {
        "hostname": "mill.example",
        "binds": tuple(Bind(kind, "127.0.0.1", 0) for kind in Kind),
        "tls_cert_file": folder / "cert.pem",
        "tls_key_file": folder / "key.pem",
        "relay_networks": (LOOPBACK,),
        "drain_seconds": 3.0,
    }
    return SmtpdConfig(**(values | changes))


class Listener:
    """Start with `with`; `ports` by kind."""

    def __init__(self, configuration: SmtpdConfig, door, new_loop=None) -> None:
        self._configuration = configuration
        self._door = door
        self._loop = (new_loop or loop_factory())()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.server: SmtpServer
        self.ports: dict[Kind, int] = {}

    def submit(self, coroutine: Coroutine[Any, Any, Any]) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.submit(coroutine).result(20)

    async def _start(self) -> list[Bind]:
        self.server = SmtpServer.build(self._configuration, self._door)
        return await self.server.start()

    def __enter__(self) -> Listener:
        self._thread.start()
        self.ports = {bind.kind: bind.port for bind in self.run(self._start())}
        return self

    def __exit__(self, *_error: object) -> None:
        self._door.may_store.set()
        self.run(self.server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


class RawClient:
    """Says bytes and reads replies; every wait is bounded."""

    def __init__(self, port: int, *, source: str = "127.0.0.1", greet: bool = True) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 15, (source, 0))
        self._buffer = b""
        if greet:
            assert self.reply().startswith(b"220 ")

    def say(self, data: bytes) -> None:
        self.socket.sendall(data)

    def line(self) -> bytes:
        """The next line, b"" when the server closed."""
        while b"\n" not in self._buffer:
            data = self.socket.recv(65536)
            if not data:
                return b""
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line + b"\n"

    def reply(self) -> bytes:
        """All lines of the next reply."""
        lines = [self.line()]
        while lines[-1][3:4] == b"-":
            lines.append(self.line())
        return b"".join(lines)

    def ask(self, data: bytes) -> bytes:
        self.say(data)
        return self.reply()

    def rest(self) -> bytes:
        """Everything until the server closes."""
        data, self._buffer = self._buffer, b""
        while piece := self.socket.recv(65536):
            data += piece
        return data

    def start_tls(self, context: ssl.SSLContext) -> None:
        assert self.ask(b"STARTTLS\r\n").startswith(b"220 ")
        self.socket = context.wrap_socket(self.socket, server_hostname="mill.example")

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *_error: object) -> None:
        self.socket.close()
