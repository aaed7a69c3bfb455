"""A connection that converses by lines, below what SMTP means (`peer.py`).

Rule 1: no coroutine; all replies to one read leave in one write, which is what lets one process
take 10,000 msg/s.
Rule 2: while `waiting`, what arrives is kept and nothing is worked off.
Rule 3: what befalls the sender is the site's decision (`site.py`); it is carried out here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from tests.world.site import Site

MAX_COMMAND = 4096
#: Seconds that a sender is listened to, but not heard, after the last reply.
LINGER = 1.0


class Conversation(asyncio.Protocol):
    def __init__(self, site: Site) -> None:
        self.site = site
        # Set by connection_made, before anything else can happen.
        self.transport: asyncio.Transport = None  # type: ignore[assignment]
        self.client = self.address = ""
        self.buffer = bytearray()
        self.replies: list[bytes] = []
        self.waiting = self.gone = False
        self.in_data = False
        self.farewell: asyncio.TimerHandle | None = None

    # What SMTP means

    def greet(self) -> None:
        raise NotImplementedError

    def command(self, line: bytes) -> None:
        raise NotImplementedError

    def take_content(self) -> bool:
        """Take the content when its end is there; False when more has to be read."""
        raise NotImplementedError

    # The connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.client = transport.get_extra_info("peername")[0]
        self.address = transport.get_extra_info("sockname")[0]
        room = self.site.opened(self, self.client)
        if not room:
            self.refuse("connect", "421 4.7.0 Too many connections")
        elif not self.troubled("connect", "", self.greet):
            self.greet()
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True
        self.site.closed(self, self.client)
        self.site.held.pop(self, None)
        if self.farewell is not None:
            self.farewell.cancel()

    def cut(self) -> None:
        """Hang up at once, with a reset."""
        self.waiting = self.gone = True
        self.replies.clear()
        self.transport.abort()

    def close(self) -> None:
        """Hang up after what was said.

        What the client has already pipelined is read and thrown away for a while: closing a
        socket that holds unread data sends a reset, and that would destroy our last reply on its
        way.
        """
        self.flush()
        self.waiting = self.gone = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self.farewell = asyncio.get_running_loop().call_later(LINGER, self.transport.abort)
        else:
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        if self.gone:
            return
        self.buffer += data
        if not self.waiting:
            self.run()

    def run(self) -> None:
        """Work off what has been read, as far as nothing makes us wait."""
        while not self.waiting:
            if self.in_data:
                if not self.take_content():
                    break
            elif (end := self.buffer.find(b"\r\n")) >= 0:
                line = bytes(self.buffer[:end])
                del self.buffer[: end + 2]
                self.command(line)
            elif len(self.buffer) > MAX_COMMAND:
                self.say("500 5.5.2 Line too long")
                self.close()
            else:
                break
        self.flush()

    def flush(self) -> None:
        if self.replies and not self.gone:
            self.transport.write(b"".join(self.replies))
        self.replies.clear()

    def say(self, reply: str) -> None:
        self.replies.append(reply.encode() + b"\r\n")

    def refuse(self, stage: str, reply: str) -> None:
        self.site.refusals[f"{stage} {reply[:3]}"] += 1
        self.say(reply)
        if reply.startswith("421"):
            self.close()

    def go_on_later(self, go_on: Callable[[], None]) -> Callable[[], None]:
        """Read no further now; the value returned carries out `go_on` and resumes."""
        self.flush()
        self.waiting = True

        def resume() -> None:
            if not self.gone:
                self.waiting = False
                go_on()
                self.run()

        return resume

    def troubled(self, stage: str, key: str, go_on: Callable[[], None]) -> bool:
        """True when the site makes trouble here; `go_on` is what happens when it lets go."""
        match self.site.trouble(stage, key, self.client):
            case "reply":
                self.refuse(stage, self.site.behaviour.reply)
            case "drop":
                self.flush()
                self.site.refusals[f"{stage} drop"] += 1
                self.cut()
            case "hold":
                self.site.held[self] = self.go_on_later(go_on)
            case _:
                return False
        return True
