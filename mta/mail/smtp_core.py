"""The engine of an SMTP server session: bytes in, questions and answers, bytes out.

The rules stand in smtp_session.py, which adds the commands.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from mta.mail import smtp_phases as phases
from mta.mail import smtp_replies as replies
from mta.mail.reply import Reply
from mta.mail.smtp_content import ChunkContent
from mta.mail.smtp_events import (
    Authenticate,
    Ended,
    Envelope,
    Event,
    MessageReceived,
    SenderOffered,
    UpgradeTls,
)
from mta.mail.smtp_lines import LineReader
from mta.mail.smtp_phases import Phase
from mta.mail.smtp_transaction import Transaction


@dataclass(frozen=True, slots=True)
class SessionRules:
    """What one listener offers one client."""

    hostname: str
    #: The client may send without AUTH: its address is in an allowed network.
    trusted: bool = False
    #: STARTTLS can be done; with implicit TLS it is active from the first byte instead.
    tls_available: bool = True
    max_message_bytes: int = 26_214_400
    max_recipients: int = 1000
    #: Refused commands after which the session ends; an accepted message starts again at 0.
    max_errors: int = 20
    #: Commands that move no mail (NOOP, RSET, VRFY, HELP, EHLO) between two messages.
    max_junk: int = 100
    max_auth_failures: int = 3


class SessionCore(ABC):
    """The server's side of one connection, all but its commands."""

    def __init__(self, rules: SessionRules, *, tls_active: bool = False) -> None:
        self.rules = rules
        self.phase = Phase.START
        self.tls_active = tls_active
        #: Name given in EHLO or HELO; "" before.
        self.helo = ""
        self.extended = False
        self.authenticated = False
        self._transaction: Transaction | None = None
        self._input = bytearray()
        self._output = bytearray()
        self._lines = LineReader()
        self._question: Event | None = None
        self._events: list[Event] = []
        self._errors = self._junk = self._auth_failures = 0
        #: The chunk under way: its content, where it began, whether it is the last.
        self._chunk: tuple[ChunkContent, Phase, bool] | None = None

    @property
    def waiting(self) -> bool:
        """A question is open."""
        return self._question is not None

    @property
    def ended(self) -> bool:
        """There is nothing more to do than to send the output and close."""
        return self.phase is Phase.ENDED

    @property
    def receiving(self) -> bool:
        """Content is on its way in."""
        return self.phase in (Phase.DATA, Phase.CHUNK) and self._question is None

    @property
    def in_content(self) -> bool:
        """A message is on its way in or waits for its answer."""
        return self.phase in (Phase.DATA, Phase.CHUNK, Phase.CHUNKS) or isinstance(
            self._question, MessageReceived
        )

    @property
    def envelope(self) -> Envelope | None:
        """The open transaction's envelope."""
        return self._transaction.envelope if self._transaction else None

    @property
    def protocol(self) -> str:
        """What the Received field says after `with`. RFC 3848, RFC 6531 4.3"""
        if not self.extended:
            return "SMTP"
        utf8 = self._transaction is not None and self._transaction.envelope.smtputf8
        suffix = ("S" if self.tls_active else "") + ("A" if self.authenticated else "")
        return ("UTF8SMTP" if utf8 else "ESMTP") + suffix

    @property
    def ahead(self) -> int:
        """Octets of the client that are not read yet."""
        return len(self._input)

    @property
    def held(self) -> int:
        """Octets of the client in memory, unread, content under way or waiting to be stored."""
        if isinstance(self._question, MessageReceived):
            return len(self._input) + len(self._question.content)
        content = self._transaction.content if self._transaction else None
        return len(self._input) + (content.held if content else 0)

    def greet(self) -> None:
        """Put the banner out."""
        self._send(Reply(220, "", f"{self.rules.hostname} ESMTP Mailmill"))

    def receive(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes of the client."""
        if self.phase is not Phase.ENDED:
            self._input += data

    def take_output(self) -> bytes:
        """What is to be sent now."""
        output = bytes(self._output)
        self._output.clear()
        return output

    def next_event(self) -> Event | None:
        """Go on until something happens; None: more bytes or an answer are needed."""
        while not self._events:
            if self._question is not None:
                if isinstance(self._question, UpgradeTls) and self._input:
                    self._injected()
                    continue
                return None
            if not self._advance():
                return None
        return self._events.pop(0)

    def accept(self, text: str = "") -> None:
        """Answer the open question with yes; text goes into the 250 of a message."""
        question, self._question = self._question, None
        match question:
            case Authenticate():
                self.authenticated = True
                self._send(replies.AUTHENTICATED)
            case SenderOffered():
                self.phase = Phase.SENDER
                self._send(replies.SENDER_OK)
            case MessageReceived():
                self._errors = self._junk = 0
                # not through encode(), whose memory is for replies that come again
                self._output += f"250 2.0.0 {text or 'OK'}\r\n".encode()
                self._reset()
            case UpgradeTls():
                self._begin_tls()
            case _:
                raise RuntimeError("accept() without a question")

    def refuse(self, reply: Reply) -> None:
        """Answer the open question with no; any SMTP reply 4yz or 5yz."""
        question, self._question = self._question, None
        match question:
            case Authenticate():
                self._auth_refused(reply)
            case SenderOffered() | MessageReceived():
                self._reset()
                self._error(reply)
            case _:
                raise RuntimeError("refuse() without a question")

    def abandon_content(self, reply: Reply) -> None:
        """Throw the content under way away as it comes, and answer its end with reply."""
        if self._transaction is not None and self._transaction.content is not None:
            self._transaction.abandon(reply)

    def close(self, reply: Reply, reason: str) -> None:
        """Say reply and end the session, whatever it was doing."""
        if self.phase is not Phase.ENDED:
            self._send(reply)
            self._end(reason)

    def abort(self) -> None:
        """The client is gone: carry out nothing more of what it sent."""
        self._end("gone")
        self._output.clear()

    def _advance(self) -> bool:
        """Use up one command or piece of content; False when more bytes are needed."""
        if self.phase is Phase.DATA:
            return self._take_dots()
        if self.phase is Phase.CHUNK:
            return self._take_chunk()
        if self.phase is Phase.ENDED:
            return False
        line = self._lines.take(self._input)
        if line is None:
            return False
        self._line(line)
        return True

    @abstractmethod
    def _line(self, line: bytes | Reply) -> None:
        """Carry out one line, or answer one that cannot be read."""

    def _injected(self) -> None:
        self._question = None
        self.close(replies.TLS_INJECTION, "injection")

    def _begin_tls(self) -> None:
        # RFC 3207 4.2: knowledge of the client from before is discarded, its name included
        self._reset()
        self.tls_active = True
        self.phase, self.helo, self.extended = Phase.START, "", False

    def _auth_refused(self, reply: Reply) -> None:
        self._auth_failures += 1
        self._error(reply)
        if self._auth_failures >= self.rules.max_auth_failures and self.phase is not Phase.ENDED:
            self.close(replies.AUTH_TOO_OFTEN, "auth")

    def _open_transaction(self) -> Transaction:
        if self._transaction is None:
            raise RuntimeError(f"no transaction is open in {self.phase}")
        return self._transaction

    def _take_dots(self) -> bool:
        content = self._open_transaction().content
        rest = content.take(self._input) if content else None
        if rest is None:
            self._input.clear()
            return False
        self._input = rest
        self._finish()
        return True

    def _take_chunk(self) -> bool:
        if self._chunk is None:
            raise RuntimeError("no chunk is open")
        content, begun_in, last = self._chunk
        rest = content.take(self._input)
        if rest is None:
            self._input.clear()
            return False
        self._input, self._chunk = rest, None
        self.phase = begun_in
        if begun_in in phases.EARLY_CHUNK:
            self._error(phases.EARLY_CHUNK[begun_in])
        elif last:
            self._finish()
        else:
            self._end_chunk(content)
        return True

    def _end_chunk(self, content: ChunkContent) -> None:
        """Answer a chunk that others follow. RFC 3030 section 2: after a refusal, all are."""
        transaction = self._open_transaction()
        self.phase = Phase.CHUNKS
        refusal = transaction.refusal or (replies.TOO_LARGE if content.discarding else None)
        if refusal is None:
            self._send(replies.OK)
        else:
            transaction.refusal = replies.CHUNKS_FAILED
            self._error(refusal)

    def _finish(self) -> None:
        """All content is here: refuse it or ask what becomes of it."""
        outcome = self._open_transaction().finish()
        if isinstance(outcome, Reply):
            self._reset()
            self._error(outcome)
        else:
            self._ask(outcome)

    def _send(self, reply: Reply) -> None:
        self._output += replies.encode(reply)

    def _error(self, reply: Reply) -> None:
        """Send a refusal; many permanent ones end the session."""
        self._send(reply)
        if reply.code == 421:
            self._end("busy")
            return
        self._errors += reply.code >= 500
        if self._errors > self.rules.max_errors:
            self.close(replies.TOO_MANY_ERRORS, "errors")

    def _ask(self, question: Event) -> None:
        self._question = question
        self._events.append(question)

    def _reset(self) -> None:
        """Forget the transaction. RFC 5321 4.1.1.5"""
        self._transaction = None
        if self.phase not in (Phase.START, Phase.ENDED):
            self.phase = Phase.READY

    def _end(self, reason: str) -> None:
        self.phase = Phase.ENDED
        self._question = None
        self._input.clear()
        self._events.append(Ended(reason))
