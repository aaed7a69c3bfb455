"""The embedded Valkey: where its binary is, how it is started, when it is ready."""

from __future__ import annotations

import socket
from pathlib import Path

from mta.supervise.program import Program, StartOrder, StopOrder
from mta.supervise.refusal import StartRefused

#: sockaddr_un holds 108 bytes with the final NUL.
LONGEST_SOCKET_PATH = 107
PING_TIMEOUT = 0.2


def valkey(binary: str, folder: Path, socket_path: Path) -> Program:
    """Durable to one second, reached by its Unix socket alone.

    StartRefused when the path of the socket is longer than the system allows.
    """
    if len(str(socket_path).encode()) > LONGEST_SOCKET_PATH:
        raise StartRefused(
            f"MAILMILL_DATA_DIR: {folder} is too long for a Unix socket in it ({socket_path} has "
            f"more than {LONGEST_SOCKET_PATH} bytes): choose a shorter path, or set "
            "MAILMILL_REDIS_URL to a Redis of your own."
        )
    options = {
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "port": "0",
        "unixsocket": str(socket_path),
        "unixsocketperm": "700",
        "loglevel": "warning",
    }
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    return Program(
        "valkey",
        (binary, *words),
        StopOrder.BROKER,
        StartOrder.BROKER,
        ready_socket=socket_path,
    )


def answers_ping(path: Path) -> bool:
    """Is it there, and done with loading its append-only file? Takes at most PING_TIMEOUT."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(PING_TIMEOUT)
        try:
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False
