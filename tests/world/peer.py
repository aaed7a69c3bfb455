"""One SMTP connection on the receiving side (RFC 5321, 2920, 1870, 6152, 6531, 3207).

Rule 1: no coroutine; all replies to one read leave in one write, which is what lets one process
take 10,000 msg/s.
Rule 2: strict where a sender must not err: bare CR or LF, NUL, lines over 998 octets, 8-bit
content that MAIL did not announce, commands out of order, and content after STARTTLS in the same
write are refused, never repaired.
Rule 3: what befalls the sender is the site's decision (`site.py`).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import cast

from tests.world.site import Site

MAX_COMMAND = 4096
MAX_LINE = 998
LINGER = 1.0
END = b"\r\n.\r\n"


class Peer(asyncio.Protocol):
    def __init__(self, site: Site, number: int, host: str, context: ssl.SSLContext) -> None:
        self.site = site
        self.number = number
        self.host = host
        self.context = context
        # Set by connection_made, before anything else can happen.
        self.transport: asyncio.Transport = None  # type: ignore[assignment]
        self.client = self.address = ""
        self.buffer = bytearray()
        self.replies: list[bytes] = []
        self.waiting = False
        self.gone = False
        self.greeted = self.tls = self.in_data = self.handshake = False
        self.messages = self.scanned = 0
        self.data_seen = False
        self.farewell: asyncio.TimerHandle | None = None
        self.reset()

    def reset(self) -> None:
        self.sender: str | None = None
        self.recipients: list[tuple[str, str]] = []
        self.eight_bit = self.smtputf8 = False

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

    def greet(self) -> None:
        self.say(f"220 {self.host} ESMTP")

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
        if self.handshake:
            self.transport.write(b"this is not TLS\r\n")
            self.close()
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
        match self.site.trouble(stage, key):
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

    # Commands

    def command(self, line: bytes) -> None:
        handler = COMMANDS.get(line[:4].upper())
        if handler is None:
            self.refuse("command", "500 5.5.2 Command unknown")
        elif b"\n" in line or b"\r" in line or b"\0" in line:
            self.refuse("command", "500 5.5.2 Bare CR, LF or NUL in a command")
        else:
            handler(self, line)

    def ehlo(self, line: bytes) -> None:
        self.reset()
        self.greeted = True
        if not self.troubled("ehlo", "", self.welcome):
            self.welcome()

    def welcome(self) -> None:
        now = self.site.behaviour
        lines = [f"{self.host} greets {self.client}", *now.offers]
        if now.size:
            lines.append(f"SIZE {now.size}")
        if now.tls and not self.tls:
            lines.append("STARTTLS")
        for line in lines[:-1]:
            self.say(f"250-{line}")
        self.say(f"250 {lines[-1]}")

    def helo(self, line: bytes) -> None:
        self.reset()
        self.greeted = True
        self.say(f"250 {self.host}")

    def mail(self, line: bytes) -> None:
        now = self.site.behaviour
        if not self.greeted or self.sender is not None:
            return self.refuse("mail", "503 5.5.1 Bad sequence of commands")
        if now.tls == "required" and not self.tls:
            return self.refuse("mail", "530 5.7.0 Must issue a STARTTLS command first")
        if now.messages_per_connection and self.messages >= now.messages_per_connection:
            return self.refuse("mail", "421 4.7.0 Too many messages on this connection")
        path, problem = self.path(line, b"MAIL FROM:<")
        problem = problem or self.mail_parameters(line)
        if problem:
            return self.refuse("mail", problem)
        go_on = lambda: self.mail_accepted(path)  # noqa: E731
        if not self.troubled("mail", "", go_on):
            go_on()

    def mail_accepted(self, path: str) -> None:
        self.sender = path
        self.say("250 2.1.0 Sender ok")

    def mail_parameters(self, line: bytes) -> str:
        """Note what MAIL announces; the refusal when that is not on offer (RFC 5321 4.1.1.11)."""
        now = self.site.behaviour
        for word in line[line.rfind(b">") + 1 :].upper().split():
            name, _, value = word.partition(b"=")
            if name == b"SIZE" and now.size and value.isdigit():
                if int(value) > now.size:
                    return "552 5.3.4 Message too big"
            elif name == b"BODY" and "8BITMIME" in now.offers and value in (b"7BIT", b"8BITMIME"):
                self.eight_bit = value == b"8BITMIME"
            elif name == b"SMTPUTF8" and not value and "SMTPUTF8" in now.offers:
                self.smtputf8 = True
            elif not (name in (b"RET", b"ENVID") and "DSN" in now.offers):
                return "555 5.5.4 MAIL parameter not recognised"
        if not line.isascii() and not self.smtputf8:
            return "553 5.6.7 Internationalised address without SMTPUTF8"
        return ""

    def path(self, line: bytes, prefix: bytes) -> tuple[str, str]:
        """(path, refusal): the address of MAIL or RCPT."""
        end = line.rfind(b">")
        if line[: len(prefix)].upper() != prefix or end < 0:
            return "", "501 5.5.4 Syntax error in the path"
        try:
            return line[len(prefix) : end].decode(), ""
        except UnicodeDecodeError:
            return "", "501 5.5.4 The path is not UTF-8"

    def rcpt(self, line: bytes) -> None:
        if self.sender is None:
            return self.refuse("rcpt", "503 5.5.1 MAIL first")
        path, problem = self.path(line, b"RCPT TO:<")
        domain = path.rpartition("@")[2].lower()
        if not problem and not line.isascii() and not self.smtputf8:
            problem = "553 5.6.7 Internationalised address without SMTPUTF8"
        if not problem and line[line.rfind(b">") + 1 :].split():
            problem = (
                ""
                if "DSN" in self.site.behaviour.offers
                else "555 5.5.4 RCPT parameter not recognised"
            )
        if not problem and not self.site.takes(domain):
            problem = f"550 5.7.1 Relaying denied: {domain} does not live here"
        if not problem and self.site.greylisted(self.client, self.sender, path):
            problem = "451 4.7.1 Greylisted, please try again later"
        if problem:
            return self.refuse("rcpt", problem)
        go_on = lambda: self.rcpt_accepted(domain, path)  # noqa: E731
        if not self.troubled("rcpt", path, go_on):
            go_on()

    def rcpt_accepted(self, domain: str, path: str) -> None:
        self.recipients.append((domain, path))
        self.say("250 2.1.5 Recipient ok")

    def data(self, line: bytes) -> None:
        if not self.recipients:
            # RFC 5321 3.3: 503 without MAIL, 554 when every RCPT was refused.
            reply = (
                "503 5.5.1 MAIL first" if self.sender is None else "554 5.5.1 No valid recipients"
            )
            return self.refuse("data", reply)
        now = self.site.behaviour
        if now.action == "reply" and self.troubled("data", self.recipients[0][1], lambda: None):
            return None
        self.in_data = True
        self.data_seen = False
        self.scanned = 0
        self.say("354 End data with <CR><LF>.<CR><LF>")

    def rset(self, line: bytes) -> None:
        self.reset()
        self.say("250 2.0.0 Ok")

    def noop(self, line: bytes) -> None:
        self.say("250 2.0.0 Ok")

    def vrfy(self, line: bytes) -> None:
        self.say("252 2.1.5 Send some mail and see")

    def quit(self, line: bytes) -> None:
        self.say("221 2.0.0 Bye")
        self.close()

    # STARTTLS (RFC 3207)

    def starttls(self, line: bytes) -> None:
        mode = self.site.behaviour.tls
        if not mode or self.tls:
            return self.refuse("starttls", "502 5.5.1 STARTTLS is not offered")
        if self.buffer:
            return self.refuse("starttls", "421 5.5.1 Commands behind STARTTLS")
        if mode == "broken":
            self.site.refusals["starttls broken"] += 1
            self.handshake = True
            self.say("220 2.0.0 Ready to start TLS")
            return None
        self.waiting = True
        # Paused before the 220 leaves, so that the client's first TLS record waits for the new
        # transport.
        self.transport.pause_reading()
        self.say("220 2.0.0 Ready to start TLS")
        self.flush()
        self.upgrade = asyncio.ensure_future(self.upgraded())

    async def upgraded(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            transport = await loop.start_tls(self.transport, self, self.context, server_side=True)
        except (OSError, ssl.SSLError, ConnectionError):
            self.site.refusals["starttls failed"] += 1
            self.cut()
            return
        if transport is None:
            return
        self.transport = transport
        self.reset()
        self.greeted = False
        self.tls = True
        self.waiting = False
        self.run()

    # Content

    def take_content(self) -> bool:
        """Take the content when its end is there; False when more has to be read."""
        buffer = self.buffer
        key = self.recipients[0][1]
        if buffer and not self.data_seen:
            self.data_seen = True
            if self.site.behaviour.action != "reply" and self.troubled("data", key, lambda: None):
                return True
        if self.scanned == 0 and buffer.startswith(b".\r\n"):
            content, taken = b"", 3
        elif (end := buffer.find(END, self.scanned)) >= 0:
            content, taken = bytes(buffer[: end + 2]), end + 5
        else:
            self.scanned = max(0, len(buffer) - 4)
            return False
        del buffer[:taken]
        self.in_data = False
        self.messages += 1
        self.judge(content, key)
        return True

    def judge(self, content: bytes, key: str) -> None:
        """Decide on a complete message, record it, answer."""
        if content.startswith(b"..") or b"\r\n.." in content:
            # RFC 5321 4.5.2: the first dot of a line that begins with one goes.
            content = (b"\r\n" + content).replace(b"\r\n.", b"\r\n")[2:]
        size = self.site.behaviour.size
        problem = fault(content, eight_bit=self.eight_bit or self.smtputf8)
        if not problem and size and len(content) > size:
            problem = "552 5.3.4 Message too big"
        if problem:
            self.refuse("dot", problem)
        else:
            self.settle(content, key)
        self.reset()

    def settle(self, content: bytes, key: str) -> None:
        now = self.site.behaviour
        kept = now.action != "reply" and now.records
        recipients, sender = self.recipients, self.sender or ""
        seen = (self.client, self.address, self.number, self.tls)
        record = lambda: self.site.ledger.record(recipients, sender, seen, content)  # noqa: E731
        before = self.site.trouble("dot", key) if now.stage == "dot" else ""
        if before == "" or (kept and before in ("drop", "hold")):
            record()
        if before == "reply":
            self.refuse("dot", now.reply)
        elif before == "drop":
            self.flush()
            self.site.refusals["dot drop"] += 1
            self.cut()
        elif before == "hold":
            go_on = self.thank if kept else self.thank_after(record)
            self.site.held[self] = self.go_on_later(go_on)
        elif now.delay:
            later = self.go_on_later(self.thank)
            asyncio.get_running_loop().call_later(now.delay, later)
        else:
            self.thank()

    def thank_after(self, record: Callable[[], None]) -> Callable[[], None]:
        def go_on() -> None:
            record()
            self.thank()

        return go_on

    def thank(self) -> None:
        self.say(f"250 2.0.0 Ok: queued as {self.number}.{self.messages}")


def fault(content: bytes, *, eight_bit: bool) -> str:
    """The refusal a message earns by its form, "" when it is well formed."""
    lines = content.split(b"\r\n")
    if len(lines) - 1 != content.count(b"\n") or len(lines) - 1 != content.count(b"\r"):
        return "550 5.6.11 Bare CR or LF"
    if b"\0" in content:
        return "550 5.6.11 NUL in the message"
    if max(map(len, lines)) > MAX_LINE:
        return "500 5.6.0 Line longer than 998 octets"
    if not eight_bit and not content.isascii():
        return "554 5.6.3 8-bit content was not announced"
    return ""


COMMANDS: dict[bytes, Callable[[Peer, bytes], None]] = {
    b"EHLO": Peer.ehlo,
    b"HELO": Peer.helo,
    b"MAIL": Peer.mail,
    b"RCPT": Peer.rcpt,
    b"DATA": Peer.data,
    b"RSET": Peer.rset,
    b"NOOP": Peer.noop,
    b"VRFY": Peer.vrfy,
    b"QUIT": Peer.quit,
    b"STAR": Peer.starttls,
}
