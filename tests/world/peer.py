"""One SMTP connection on the receiving side (RFC 5321, 2920, 1870, 6152, 6531, 3207, 4954).

Rule 1: strict where a sender must not err: malformed content (`content.py`), commands out of
order, parameters that were not offered, and commands behind STARTTLS in the same write are
refused, never repaired.
Rule 2: no coroutine but the TLS handshake; see `conversation.py`.
"""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64encode
from collections.abc import Callable

from tests.world.content import fault, without_stuffing
from tests.world.conversation import Conversation
from tests.world.site import Site

END = b"\r\n.\r\n"


class Peer(Conversation):
    def __init__(self, site: Site, number: int, host: str, context: ssl.SSLContext) -> None:
        super().__init__(site)
        self.number = number
        self.host = host
        self.context = context
        self.greeted = self.tls = self.known = False
        #: A handshake has been promised that will fail.
        self.broken_tls = False
        self.messages = self.scanned = 0
        self.data_seen = False
        self.reset()

    def reset(self) -> None:
        self.sender: str | None = None
        self.recipients: list[tuple[str, str]] = []
        self.eight_bit = self.smtputf8 = False

    def greet(self) -> None:
        self.say(f"220 {self.host} ESMTP")

    def data_received(self, data: bytes) -> None:
        if self.broken_tls and not self.gone:
            self.transport.write(b"this is not TLS\r\n")
            self.close()
        else:
            super().data_received(data)

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
        if now.auth and self.tls:
            lines.append("AUTH PLAIN")
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
        if now.auth and not self.known:
            return self.refuse("mail", "530 5.7.0 Authentication required")
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

    def auth(self, line: bytes) -> None:
        """AUTH PLAIN with an initial response (RFC 4954 4, RFC 4616)."""
        wanted = self.site.behaviour.auth
        if not wanted or not self.tls:
            return self.refuse("auth", "502 5.5.1 AUTH is not offered")
        words = line.split()
        given = b"\0" + wanted.encode().replace(b":", b"\0", 1)
        self.known = words[1:] == [b"PLAIN", b64encode(given)]
        if not self.known:
            return self.refuse("auth", "535 5.7.8 Authentication credentials invalid")
        return self.say("235 2.7.0 Authenticated")

    # STARTTLS (RFC 3207)

    def starttls(self, line: bytes) -> None:
        mode = self.site.behaviour.tls
        if not mode or self.tls:
            return self.refuse("starttls", "502 5.5.1 STARTTLS is not offered")
        if self.buffer:
            return self.refuse("starttls", "421 5.5.1 Commands behind STARTTLS")
        if mode == "broken":
            self.site.refusals["starttls broken"] += 1
            self.broken_tls = True
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
        content = without_stuffing(content)
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
        before = self.site.trouble("dot", key, self.client) if now.stage == "dot" else ""
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
    b"AUTH": Peer.auth,
}
