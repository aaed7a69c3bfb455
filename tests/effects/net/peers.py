"""Hand-written SMTP peers for odd behaviour: what a real server does only on its worst day.

`Peer.answers` maps a verb (greeting EHLO HELO MAIL RCPT DATA dot RSET QUIT STARTTLS) to what it
says:
a string or bytes is sent, a list is used up item by item (its last repeats), `CLOSE` aborts the
connection, `SILENCE` says nothing, a callable is asked with the argument of the command.
"""

import asyncio
import ssl
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from mta.net.smtp import Outcome, Target, Timeouts, Transaction

CLOSE = object()
SILENCE = object()

DEFAULT: dict[str, Any] = {
    "greeting": "220 peer.test ESMTP",
    "HELO": "250 peer.test",
    "MAIL": "250 2.1.0 ok",
    "RCPT": "250 2.1.5 ok",
    "DATA": "354 go on",
    "dot": "250 2.0.0 taken",
    "RSET": "250 2.0.0 reset",
    "QUIT": "221 2.0.0 bye",
    "STARTTLS": "454 4.7.0 no TLS",
}

SHORT = Timeouts(connect=5, greeting=5, ehlo=5, mail=5, rcpt=5, data=5, block=5, dot=5, quit=2)


@dataclass
class Peer:
    extensions: tuple[str, ...] = ("PIPELINING", "SIZE 10000000", "8BITMIME", "SMTPUTF8")
    answers: dict[str, Any] = field(default_factory=dict)
    #: hold back every reply until these verbs came, to prove that they were not waited for
    hold_until: tuple[str, ...] = ()
    #: stop reading after this many octets of content
    read_at_most: int | None = None
    context: ssl.SSLContext | None = None
    commands: list[str] = field(default_factory=list)
    contents: list[bytes] = field(default_factory=list)
    #: what lay in the buffer when a 354 was about to be sent
    early: list[bytes] = field(default_factory=list)
    #: what lay in the buffer after each command but DATA
    piled: list[bytes] = field(default_factory=list)
    connections: int = 0
    peernames: list[str] = field(default_factory=list)
    port: int = 0
    _used: Counter[str] = field(default_factory=Counter)

    async def __aenter__(self) -> "Peer":
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def target(self, **changes: Any) -> Target:
        values: dict[str, Any] = {
            "host": "peer.test",
            "address": "127.0.0.1",
            "port": self.port,
            "ehlo_name": "client.test",
            "tls": "none",
            "timeouts": SHORT,
        }
        return Target(**(values | changes))

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.peernames.append(writer.get_extra_info("peername")[0])
        task = asyncio.ensure_future(Session(self, reader, writer).run())
        self._tasks.add(task)

    def answer(self, verb: str, argument: str) -> Any:
        said = self.answers.get(verb, DEFAULT.get(verb, "502 5.5.1 what?"))
        if verb == "EHLO" and verb not in self.answers:
            lines = ["peer.test", *self.extensions]
            return "\r\n".join(
                f"250{' ' if i == len(lines) - 1 else '-'}{line}" for i, line in enumerate(lines)
            )
        if callable(said):
            return said(argument)
        if isinstance(said, list):
            said = said[min(self._used[verb], len(said) - 1)]
            self._used[verb] += 1
        return said


class Session:
    """One connection to a Peer."""

    def __init__(
        self, peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.peer, self.reader, self.writer = peer, reader, writer
        self.held = b""

    async def run(self) -> None:
        try:
            if self.say("greeting", ""):
                await self.commands()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self.writer.transport.abort()

    async def commands(self) -> None:
        while True:
            line = await self.reader.readuntil(b"\n")
            text = line.decode().rstrip("\r\n")
            self.peer.commands.append(text)
            verb = text.split()[0].upper() if text.split() else ""
            if verb == "DATA":
                self.peer.early.append(self.buffered())
            else:
                self.peer.piled.append(self.buffered())
            said = self.say(verb, text)
            if not said or verb == "QUIT":
                return
            if verb == "DATA" and said.startswith(b"354"):
                await self.content()
                if not self.say("dot", ""):
                    return
            if verb == "STARTTLS" and said.startswith(b"220"):
                assert self.peer.context is not None
                await self.writer.start_tls(self.peer.context)

    async def content(self) -> None:
        if self.peer.read_at_most is not None:
            await self.reader.readexactly(self.peer.read_at_most)
            said = self.peer.answer("early", "")
            if said is CLOSE:
                raise ConnectionError
            if isinstance(said, str) and "early" in self.peer.answers:
                self.writer.write(said.encode() + b"\r\n")
            await asyncio.Event().wait()
        lines = []
        while (line := await self.reader.readuntil(b"\n")) != b".\r\n":
            lines.append(line[1:] if line.startswith(b".") else line)
        self.peer.contents.append(b"".join(lines))

    def buffered(self) -> bytes:
        return bytes(self.reader._buffer)  # type: ignore[attr-defined]  # to see what came unasked

    def say(self, verb: str, argument: str) -> bytes:
        said = self.peer.answer(verb, argument)
        if said is CLOSE:
            return b""
        if said is SILENCE:
            return b"(silence)"
        data = said if isinstance(said, bytes) else f"{said}\r\n".encode()
        self.held += data
        if not self.peer.hold_until or verb in (*self.peer.hold_until, "greeting", "EHLO"):
            self.writer.write(self.held)
            self.held = b""
        return data


def message(
    key: int, content: bytes = b"Subject: hi\r\n\r\nhello\r\n", **changes: Any
) -> Transaction:
    values: dict[str, Any] = {
        "key": key,
        "reverse_path": "bounce@sender.test",
        "forward_path": f"r{key}@peer.test",
        "content": content,
    }
    return Transaction(**(values | changes))


async def send(connection: Any, transactions: Iterable[Transaction]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    await connection.deliver(transactions, outcomes.append)
    return outcomes
