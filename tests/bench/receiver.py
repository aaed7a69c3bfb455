"""`python -m tests.bench.receiver`: name server and all mail hosts of a world of many domains.

Rule 1: every domain exists. Its one MX is mx.<domain>, at an address of its own below 127.0.0.0/8;
        domains below shared.test have one mail host together.
Rule 2: a message counts, with the instant on the clock, when the end of its content was read; its
        250 follows `--delay` seconds later.
Rule 3: the capture gets a line a recipient, "<nanoseconds> <address>"; the gauge is overwritten
        with "<connections open now> <opened ever>".
It listens on every address of the loopback device and on no other device.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import signal
import socket
import time
import zlib
from pathlib import Path
from typing import cast

import uvloop

SHARED = b"shared.test"
#: Seconds that an answer of the name server may be kept.
TTL = (86_400).to_bytes(4, "big")
MX, A, SOA, CLASS_IN = 15, 1, 6, 1
FLUSH_SECONDS = 0.02
#: Of the name server's socket; the system may grant less.
BUFFER_BYTES = 4 << 20
END = b"\r\n.\r\n"
HELLO = b"250-mx\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 ENHANCEDSTATUSCODES\r\n"
REPLIES = {
    b"EHLO": HELLO,
    b"HELO": b"250 mx\r\n",
    b"MAIL": b"250 2.1.0 Ok\r\n",
    b"RCPT": b"250 2.1.5 Ok\r\n",
    b"DATA": b"354 Go on\r\n",
    b"RSET": b"250 2.0.0 Ok\r\n",
    b"NOOP": b"250 2.0.0 Ok\r\n",
    b"QUIT": b"221 2.0.0 Bye\r\n",
}


# Names


def address_of(host: bytes) -> bytes:
    """Four octets of a mail host: 127.64.0.1 to 127.127.255.254, scattered by its name."""
    number = zlib.crc32(host)
    return bytes((127, 64 + (number >> 16 & 63), number >> 8 & 255, 1 + (number & 255) % 254))


def answer(query: bytes) -> bytes:
    """The response to a question with one name (RFC 1035 4.1); IndexError when it is none."""
    end = 12
    labels = []
    while query[end]:
        labels.append(query[end + 1 : end + 1 + query[end]].lower())
        end += 1 + query[end]
    question = query[12 : end + 5]
    kind = int.from_bytes(query[end + 1 : end + 3], "big")
    name = b".".join(labels)
    data = b""
    if kind == MX and labels[:1] != [b"mx"]:
        data = b"\x00\x0a" + exchanger(name)
    elif kind == A and labels[:1] == [b"mx"]:
        data = address_of(name)
    known = 1 if data else 0
    head = query[:2] + b"\x81\x80" + bytes((0, 1, 0, known, 0, 1 - known, 0, 0))
    return head + question + (record(kind, data) if data else record(SOA, AUTHORITY))


def exchanger(name: bytes) -> bytes:
    """The MX of a domain, compressed: a name that ends in the question's (RFC 1035 4.1.4)."""
    if name.endswith(b"." + SHARED):
        return b"\x02mx\x06shared\x04test\x00"
    return b"\x02mx\xc0\x0c"


#: Root's own, one second of everything: a name without the asked type says so (RFC 2308 2.2).
AUTHORITY = b"\x00\x00" + (1).to_bytes(4, "big") + TTL * 4


def record(kind: int, data: bytes) -> bytes:
    """One record of the question's name."""
    head = b"\xc0\x0c" + bytes((0, kind, 0, CLASS_IN)) + TTL
    return head + len(data).to_bytes(2, "big") + data


class Names(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.transport.sendto(answer(data), addr)


# Mail


class Books:
    """What was taken, written out every FLUSH_SECONDS."""

    def __init__(self, folder: Path) -> None:
        self.capture = (folder / "capture").open("ab", buffering=0)
        self.gauge = os.open(folder / "gauge", os.O_WRONLY | os.O_CREAT, 0o644)
        self.lines: list[bytes] = []
        self.open = self.opened = 0
        self.planned = False

    def took(self, recipients: list[bytes]) -> None:
        now = time.time_ns()
        self.lines += [b"%d %s\n" % (now, who) for who in recipients]
        self.plan()

    def count(self, change: int) -> None:
        self.open += change
        self.opened += max(change, 0)
        self.plan()

    def plan(self) -> None:
        if not self.planned:
            self.planned = True
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        self.planned = False
        if self.lines:
            self.capture.write(b"".join(self.lines))
            self.lines.clear()
        os.pwrite(self.gauge, b"%10d %10d\n" % (self.open, self.opened), 0)


class Host(asyncio.Protocol):
    """One connection; it believes its client, which other tests judge."""

    def __init__(self, books: Books, delay: float) -> None:
        self.books, self.delay = books, delay
        self.buffer = bytearray()
        self.recipients: list[bytes] = []
        self.in_content = self.waiting = False
        self.scanned = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.books.count(1)
        self.transport.write(b"220 mx ESMTP\r\n")

    def connection_lost(self, exc: Exception | None) -> None:
        self.books.count(-1)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.waiting:
            self.work()

    def work(self) -> None:
        said: list[bytes] = []
        while not self.waiting and (self.content(said) if self.in_content else self.command(said)):
            pass
        if said:
            self.transport.write(b"".join(said))

    def command(self, said: list[bytes]) -> bool:
        """Take one command; False when none is whole."""
        end = self.buffer.find(b"\r\n")
        if end < 0:
            return False
        line = bytes(self.buffer[:end])
        del self.buffer[: end + 2]
        verb = line[:4].upper()
        said.append(REPLIES.get(verb, b"500 5.5.2 Unknown\r\n"))
        if verb == b"RCPT":
            self.recipients.append(line[line.find(b"<") + 1 : line.rfind(b">")])
        elif verb == b"DATA":
            self.in_content, self.scanned = True, 0
        elif verb == b"QUIT":
            self.transport.write(b"".join(said))
            said.clear()
            self.transport.close()
            return False
        return True

    def content(self, said: list[bytes]) -> bool:
        """Take the content; False when its end is not there."""
        end = self.buffer.find(END, self.scanned)
        if end < 0:
            self.scanned = max(0, len(self.buffer) - 4)
            return False
        del self.buffer[: end + 5]
        self.in_content = False
        self.books.took(self.recipients)
        self.recipients = []
        if self.delay:
            self.waiting = True
            asyncio.get_running_loop().call_later(self.delay, self.thank)
        else:
            said.append(b"250 2.0.0 Ok\r\n")
        return True

    def thank(self) -> None:
        """The 250 that was put off; then what came meanwhile."""
        if self.transport.is_closing():
            return
        self.waiting = False
        self.transport.write(b"250 2.0.0 Ok\r\n")
        self.work()


# The process


def loopback(kind: int) -> socket.socket:
    """A socket on all addresses of the loopback device."""
    made = socket.socket(socket.AF_INET, kind)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
    if kind == socket.SOCK_DGRAM:  # a burst of questions overflows the system's own size
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    made.bind(("0.0.0.0", 0))
    made.setblocking(False)
    return made


async def serve(folder: Path, delay: float) -> None:
    loop = asyncio.get_running_loop()
    books = Books(folder)
    mail, names = loopback(socket.SOCK_STREAM), loopback(socket.SOCK_DGRAM)
    await loop.create_server(lambda: Host(books, delay), sock=mail, backlog=4096)
    await loop.create_datagram_endpoint(Names, sock=names)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    ports = {"smtp": mail.getsockname()[1], "dns": names.getsockname()[1]}
    draft = folder / "ready.new"
    draft.write_text(json.dumps(ports))
    draft.replace(folder / "ready.json")
    await stop.wait()
    books.flush()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.receiver")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--delay", type=float, default=0.0, metavar="SECONDS")
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    uvloop.run(serve(options.folder, options.delay))


if __name__ == "__main__":
    main()
