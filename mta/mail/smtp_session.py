"""One SMTP server session without sockets, clock or threads: bytes in, events and bytes out.

Rule 1: `receive` takes bytes, `next_event` says what happened, `take_output` gives what to send.
Rule 2: on a question (see smtp_events) the session stands still until `accept` or `refuse`.
Rule 3: the events and the output depend on the bytes, never on how they were cut (RFC 2920).
Rule 4: a command line ends with CR LF and nothing else; DATA ends with CR LF . CR LF.
Rule 5: nobody sends mail without the right to: `trusted`, or AUTH, which needs TLS.
Rule 6: what came before TLS is forgotten after it; bytes behind STARTTLS end the session.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from mta.mail import smtp_auth
from mta.mail import smtp_commands as commands
from mta.mail import smtp_phases as phases
from mta.mail import smtp_replies as replies
from mta.mail.reply import Reply
from mta.mail.smtp_content import ChunkContent, DotContent
from mta.mail.smtp_core import SessionCore, SessionRules
from mta.mail.smtp_events import Authenticate, SenderOffered, UpgradeTls
from mta.mail.smtp_phases import Phase
from mta.mail.smtp_transaction import Transaction

__all__ = ["Session", "SessionRules"]


class Session(SessionCore):
    """The server's side of one connection."""

    _exchange: smtp_auth.Exchange | None = None

    def _line(self, line: bytes | Reply) -> None:
        if isinstance(line, Reply):
            # an AUTH exchange does not survive a line that is none
            if self._exchange is not None:
                self._exchange, self.phase = None, Phase.READY
            self._error(line)
        elif self._exchange is not None:
            self._continue_auth(self._exchange.step(line))
        else:
            self._command(line)

    def _command(self, line: bytes) -> None:
        split = commands.split_verb(line)
        if isinstance(split, Reply):
            self._error(split)
            return
        verb, argument = split
        handler = HANDLERS.get(verb)
        if handler is None:
            self._unknown(verb)
        elif self.phase in phases.ALLOWED[verb]:
            if verb in phases.JUNK:
                self._junk += 1
            handler(self, argument)
            if self._junk > self.rules.max_junk and self.phase is not Phase.ENDED:
                self.close(replies.TOO_MUCH_JUNK, "errors")
        else:
            self._error(phases.OUT_OF_ORDER.get((verb, self.phase), replies.HELLO_FIRST))

    def _unknown(self, verb: str) -> None:
        if verb in phases.BROWSER:
            self.close(replies.NOT_A_BROWSER, "protocol")
        else:
            known = verb in phases.NOT_IMPLEMENTED
            self._error(replies.NOT_IMPLEMENTED if known else replies.UNKNOWN)

    def _ehlo(self, argument: str) -> None:
        if not commands.HELO_NAME.match(argument):
            self._error(replies.NAME_NEEDED)
            return
        self._greeted(argument, extended=True)
        lines = [f"{self.rules.hostname} greets {argument}", *self._extensions()]
        last = len(lines) - 1
        for number, line in enumerate(lines):
            self._output += f"250{' ' if number == last else '-'}{line}\r\n".encode()

    def _extensions(self) -> list[str]:
        lines = [
            "PIPELINING",
            f"SIZE {self.rules.max_message_bytes}",
            "8BITMIME",
            "SMTPUTF8",
            "ENHANCEDSTATUSCODES",
            "CHUNKING",
            "DSN",
        ]
        if self.rules.tls_available and not self.tls_active:
            lines.append("STARTTLS")
        if self.tls_active:
            lines.append("AUTH " + " ".join(smtp_auth.MECHANISMS))
        return lines

    def _helo(self, argument: str) -> None:
        if not commands.HELO_NAME.match(argument):
            self._error(replies.NAME_NEEDED)
            return
        self._greeted(argument, extended=False)
        self._send(Reply(250, "", self.rules.hostname))

    def _greeted(self, name: str, *, extended: bool) -> None:
        self.helo, self.extended, self.phase = name, extended, Phase.READY
        self._reset()

    def _rset(self, argument: str) -> None:
        if self._without_argument(argument):
            self._reset()
            self._send(replies.OK)

    def _noop(self, _argument: str) -> None:
        self._send(replies.OK)

    def _help(self, _argument: str) -> None:
        self._send(replies.HELP)

    def _vrfy(self, argument: str) -> None:
        if argument:
            self._send(replies.CANNOT_VERIFY)
        else:
            self._error(replies.VRFY_SYNTAX)

    def _quit(self, argument: str) -> None:
        if self._without_argument(argument):
            self._send(replies.BYE)
            self._end("quit")

    def _starttls(self, argument: str) -> None:
        if not self._without_argument(argument):
            return
        if self.tls_active:
            self._error(replies.TLS_ACTIVE)
        elif not self.rules.tls_available:
            self._error(replies.TLS_UNAVAILABLE)
        elif self._input:
            self._injected()
        else:
            self._send(replies.START_TLS)
            self._ask(UpgradeTls())

    def _auth(self, argument: str) -> None:
        mechanism, _, initial = argument.partition(" ")
        mechanism = mechanism.upper()
        if self.authenticated:
            self._error(replies.AUTH_REPEATED)
        elif not self.tls_active:
            available = self.rules.tls_available
            self._error(replies.AUTH_NEEDS_TLS if available else replies.AUTH_UNAVAILABLE)
        elif self.phase is not Phase.READY:
            self._error(replies.AUTH_IN_TRANSACTION)
        elif not mechanism:
            self._error(replies.AUTH_SYNTAX)
        elif mechanism not in smtp_auth.MECHANISMS:
            self._error(replies.AUTH_MECHANISM)
        else:
            self.phase = Phase.AUTH
            self._exchange = smtp_auth.Exchange(mechanism)
            self._continue_auth(self._exchange.begin(initial.strip(" ")))

    def _continue_auth(self, step: smtp_auth.Step) -> None:
        if isinstance(step, smtp_auth.Challenge):
            self._output += b"334 " + step.prompt.encode() + b"\r\n"
            return
        self._exchange = None
        self.phase = Phase.READY
        if isinstance(step, smtp_auth.Credentials):
            self._ask(Authenticate(step.username, step.password))
        elif step is replies.AUTH_REFUSED:
            self._auth_refused(step)
        else:
            self._error(step)

    def _mail(self, argument: str) -> None:
        if not (self.authenticated or self.rules.trusted):
            self._error(replies.AUTH_NEEDED if self.tls_active else replies.TLS_NEEDED)
            return
        envelope = commands.parse_mail(
            argument, max_bytes=self.rules.max_message_bytes, with_auth=self.tls_active
        )
        if isinstance(envelope, Reply):
            self._error(envelope)
            return
        self._transaction = Transaction(envelope)
        self._ask(SenderOffered(envelope.reverse_path))

    def _rcpt(self, argument: str) -> None:
        transaction = self._open_transaction()
        envelope = transaction.envelope
        if len(envelope.recipients) >= self.rules.max_recipients:
            # not an error of the client: RFC 5321 4.5.3.1.10 has it send the rest separately
            self._send(replies.TOO_MANY_RECIPIENTS)
            return
        recipient = commands.parse_rcpt(
            argument, smtputf8=envelope.smtputf8, postmaster=self.rules.hostname
        )
        if isinstance(recipient, Reply):
            self._error(recipient)
            return
        transaction.add(recipient)
        self.phase = Phase.RECIPIENTS
        self._send(replies.RECIPIENT_OK)

    def _data(self, argument: str) -> None:
        if self._without_argument(argument):
            self._open_transaction().content = DotContent(self.rules.max_message_bytes)
            self.phase = Phase.DATA
            self._send(replies.START_DATA)

    def _bdat(self, argument: str) -> None:
        parsed = commands.parse_bdat(argument)
        if isinstance(parsed, Reply):
            # where the chunk ends is unknown, so its octets would be taken for commands
            self.close(parsed, "protocol")
            return
        size, last = parsed
        if self.phase in phases.EARLY_CHUNK:
            content = ChunkContent(limit=0)
            content.discard()
        else:
            content = self._open_transaction().chunks(self.rules.max_message_bytes)
        content.announce(size)
        self._chunk = content, self.phase, last
        self.phase = Phase.CHUNK

    def _without_argument(self, argument: str) -> bool:
        if argument:
            self._error(replies.NO_ARGUMENT)
        return not argument


Handler = Callable[[Session, str], None]
HANDLERS: Final[dict[str, Handler]] = {
    verb: getattr(Session, f"_{verb.lower()}") for verb in phases.ALLOWED
}
