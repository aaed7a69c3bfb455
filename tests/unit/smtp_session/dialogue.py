"""A session without sockets, answered by a listener that accepts everything."""

from __future__ import annotations

from mta.mail.reply import Reply
from mta.mail.smtp_events import Authenticate, Ended, Event, MessageReceived, UpgradeTls
from mta.mail.smtp_session import Session, SessionRules

RULES = SessionRules(hostname="mill.example", trusted=True)
WRONG = Reply(535, "5.7.8", "User name or password is wrong")


class Dialogue:
    """Feeds bytes, answers questions at once, keeps what happened."""

    def __init__(self, rules: SessionRules = RULES, *, tls_active: bool = False) -> None:
        self.session = Session(rules, tls_active=tls_active)
        self.session.greet()
        self.session.take_output()
        self.events: list[Event] = []
        self.refuse_with: Reply | None = None

    def say(self, data: bytes) -> bytes:
        """What the server answers to data."""
        self.session.receive(data)
        while (event := self.session.next_event()) is not None:
            self.events.append(event)
            self._answer(event)
        return self.session.take_output()

    def _answer(self, event: Event) -> None:
        if isinstance(event, Ended | UpgradeTls):
            return
        if isinstance(event, Authenticate) and event.password != "secret":
            self.session.refuse(WRONG)
        elif self.refuse_with is not None:
            self.session.refuse(self.refuse_with)
        else:
            self.session.accept()

    @property
    def messages(self) -> list[MessageReceived]:
        return [event for event in self.events if isinstance(event, MessageReceived)]

    @property
    def contents(self) -> list[bytes]:
        return [message.content for message in self.messages]

    @property
    def ended(self) -> str:
        """Why the session ended; "" while it goes on."""
        return next((event.reason for event in self.events if isinstance(event, Ended)), "")


def codes(output: bytes) -> list[str]:
    """Code and enhanced status of each reply, "250 2.0.0"; multi-line replies once."""
    lines = [line for line in output.decode().split("\r\n")[:-1] if line[3:4] != "-"]
    return [" ".join(line.split(" ")[:2]) for line in lines]


ENVELOPE = b"MAIL FROM:<a@acme.example>\r\nRCPT TO:<b@remote.example>\r\n"
