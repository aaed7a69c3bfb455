"""Answers the questions of one SMTP session: who is it, may it send this, is it stored.

Rule 1: whoever did not authenticate sends for the tenant that owns the domain of MAIL FROM; the
        listener lets only allowed networks come that far.
Rule 2: the domains of MAIL FROM and of From both belong to the tenant; `<>` is allowed (RFC 5321
        4.5.5), then From decides.
Rule 3: a database that cannot be asked is answered with 451, never with a guess.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from mta.mail import headers, ids, smtp_message
from mta.mail import smtp_replies as replies
from mta.mail.reply import Reply
from mta.mail.smtp_events import Authenticate, Envelope, MessageReceived, SenderOffered
from mta.mail.smtp_message import Prepared
from mta.mail.smtp_session import Session
from mta.observe import maillog
from mta.smtpd.hub import Hub
from mta.smtpd.lookups import Failed
from mta.smtpd.submission import Caller, Counted, Judged, Submission

log = logging.getLogger(__name__)

UNAVAILABLE: Final = Reply(451, "4.3.0", "Temporary failure here; try again later")
AUTH_UNAVAILABLE: Final = Reply(454, "4.7.0", "Temporary authentication failure")
SUSPENDED: Final = Reply(550, "5.7.1", "Sending is suspended for this tenant")
STALE: Final = Reply(421, "4.7.0", "Session is too old; connect and authenticate again")
NO_SCOPE: Final = Reply(550, "5.7.1", 'This credential lacks the scope "send"')

#: Addresses of a refused message that the mail log names.
MAX_LOGGED: Final = 20
#: Names a password in the memory of look-ups without keeping it.
_SECRET: Final = secrets.token_bytes(32)

Step = Callable[[], None]


class Reception:
    """One per session; `go_on` is called after each answer."""

    def __init__(self, hub: Hub, session: Session, peer: str, go_on: Callable[[], None]) -> None:
        self._hub = hub
        self._session = session
        self._peer = peer
        self._go_on = go_on
        #: Set by AUTH, for all mail of the session.
        self._authenticated: Caller | None = None
        self._authenticated_at = 0.0
        #: Whom the open transaction belongs to; None: not known before From is read.
        self._caller: Caller | None = None
        #: Its tenant's quota refuses what is too much; as the last look-up of an owner said.
        self._counted = False

    def authenticate(self, asked: Authenticate) -> None:
        """AUTH came with a user name and password."""
        door, name, password = self._hub.door, asked.username, asked.password
        secret = f"{name}\0{password}".encode()
        key = ("auth", hmac.new(_SECRET, secret, hashlib.sha256).digest())
        self._hub.lookups.ask(key, lambda: door.authenticate(name, password), self._authentication)

    def _authentication(self, caller: Caller | Failed | None) -> None:
        if isinstance(caller, Failed):
            self._refuse(AUTH_UNAVAILABLE)
        elif caller is None:
            log.info("authentication refused, client %s", self._peer)
            self._refuse(replies.AUTH_REFUSED)
        elif not caller.may_send:
            self._refuse(NO_SCOPE)
        else:
            self._authenticated = caller
            self._authenticated_at = self._hub.loop.time()
            self._accept()

    def offer(self, asked: SenderOffered) -> None:
        """MAIL came."""
        self._caller = self._authenticated
        if self._is_stale():
            self._refuse(STALE)
        elif self._caller is not None and self._caller.suspended:
            self._refuse(SUSPENDED)
        elif asked.reverse_path is None:
            self._accept()
        else:
            self._ask_owner(asked.reverse_path.domain, self._accept)

    def _is_stale(self) -> bool:
        """The password was checked so long ago that it may have been revoked."""
        if self._authenticated is None:
            return False
        age = self._hub.loop.time() - self._authenticated_at
        return age > self._hub.config.auth_lifetime

    def take(self, received: MessageReceived) -> None:
        """The content is complete."""
        hub, envelope = self._hub, received.envelope
        message_id = hub.door.new_id()
        queue_id = ids.encode(message_id)
        now = datetime.now(UTC).replace(microsecond=0)
        only = envelope.recipients[0].address if len(envelope.recipients) == 1 else None
        prepared = smtp_message.prepare(
            received.content,
            received=headers.received_field(
                helo=self._session.helo,
                peer=self._peer,
                by=hub.config.hostname,
                protocol=self._session.protocol,
                queue_id=queue_id,
                at=now,
                for_=str(only) if only else None,
            ),
            date=now,
            message_id=f"{queue_id}@{hub.config.hostname}",
        )
        if isinstance(prepared, Reply):
            self._refuse(prepared)
        else:
            # also asks whether the tenant was suspended since this session began
            self._ask_owners(
                prepared.from_domains, lambda: self._choose_stream(message_id, envelope, prepared)
            )

    def _choose_stream(self, message_id: int, envelope: Envelope, prepared: Prepared) -> None:
        caller, door = self._known_caller(), self._hub.door
        name = prepared.instructions.stream

        def chosen(stream_id: int | Failed | None) -> None:
            if isinstance(stream_id, Failed):
                self._refuse(UNAVAILABLE)
            elif stream_id is None:
                text = f"There is no stream named {name[:63] or 'default'}: see X-Mailmill-Stream"
                self._refuse(Reply(550, "5.6.0", ascii_text(text)))
            else:
                self._judge(submission(message_id, caller, stream_id, envelope, prepared))

        key = ("stream", caller.tenant_id, name)
        known = self._hub.lookups.known(key)
        if known is not None:
            chosen(known)
        else:
            self._hub.lookups.ask(key, lambda: door.stream_id(caller.tenant_id, name), chosen)

    def _judge(self, message: Submission) -> None:
        """The operator's policy may change or refuse the message; most instances have none."""
        door = self._hub.door
        if not door.judges:
            self._count(message)
            return

        def judged(found: Judged | Failed) -> None:
            if isinstance(found, Failed):
                self._refuse(UNAVAILABLE)
            elif found.refusal:
                code, enhanced = (451, "4.3.0") if found.later else (550, "5.7.1")
                self._refuse(Reply(code, enhanced, ascii_text(found.refusal)))
            else:
                self._count(message._replace(instructions=found.instructions))

        self._hub.lookups.run(lambda: door.judge(message), judged)

    def _count(self, message: Submission) -> None:
        """After DATA all recipients are known: the message fits into the quota or is refused."""
        if not self._counted:
            self._store(message)
            return

        def counted(found: Counted | Failed) -> None:
            if isinstance(found, Failed):
                self._refuse(UNAVAILABLE)
            elif found.refusal:
                self._refuse(Reply(452, "4.7.1", ascii_text(found.refusal)))
            else:
                self._store(message, found.undo)

        door, tenant_id, count = self._hub.door, message.tenant_id, len(message.recipients)
        self._hub.lookups.run(lambda: door.count(tenant_id, count), counted)

    def _store(self, message: Submission, undo: Step | None = None) -> None:
        def stored(error: Exception | None) -> None:
            if error is not None:
                if undo is not None:
                    self._hub.lookups.run(undo, lambda _: None)
                self._refuse(UNAVAILABLE)
            else:
                self._accept(f"Queued as {ids.encode(message.message_id)}")

        self._hub.storekeeper.submit(message, stored)

    def _known_caller(self) -> Caller:
        if self._caller is None:
            raise RuntimeError("the transaction belongs to nobody")
        return self._caller

    def _ask_owner(self, domain: str, then: Step) -> None:
        """Whom does mail of this domain belong to? Go on with then, or refuse."""
        key = ("owner", domain)
        known = self._hub.lookups.known(key)
        if known is not None:
            self._owner_known(domain, known, then)
            return
        door = self._hub.door
        self._hub.lookups.ask(
            key,
            lambda: door.caller_for_domain(domain),
            lambda owner: self._owner_known(domain, owner, then),
        )

    def _owner_known(self, domain: str, owner: Caller | Failed | None, then: Step) -> None:
        if isinstance(owner, Failed):
            self._refuse(UNAVAILABLE)
        elif owner is None or not self._is_mine(owner):
            whose = f"tenant {self._caller.tenant_name}" if self._caller else "any tenant here"
            self._refuse(not_yours(domain, whose))
        elif owner.suspended:
            self._refuse(SUSPENDED)
        else:
            self._caller = self._caller or owner
            self._counted = owner.counted
            then()

    def _is_mine(self, owner: Caller) -> bool:
        """Whether the transaction belongs to this tenant, or to nobody yet."""
        return self._caller is None or self._caller.tenant_id == owner.tenant_id

    def _ask_owners(self, domains: Sequence[str], then: Step) -> None:
        """Ask for each domain in turn; go on with then after the last."""
        others = domains[1:]
        self._ask_owner(domains[0], (lambda: self._ask_owners(others, then)) if others else then)

    def _accept(self, text: str = "") -> None:
        # the session may have ended (time-out, lost connection) while the question was open
        if self._session.waiting:
            self._session.accept(text)
            self._go_on()

    def _refuse(self, reply: Reply) -> None:
        if self._session.waiting:
            self._log_rejection(reply)
            self._session.refuse(reply)
            self._go_on()

    def _log_rejection(self, reply: Reply) -> None:
        """One line of the mail log for mail that was not taken."""
        envelope = self._session.envelope
        if envelope is None:
            return
        maillog.write([{
            "at": time.time(),
            "kind": "rejection",
            "tenant": self._caller.tenant_name if self._caller else "",
            "client": self._peer,
            "from": str(envelope.reverse_path or ""),
            "to": [str(each.address) for each in envelope.recipients[:MAX_LOGGED]],
            "recipients": len(envelope.recipients),
            "reply": str(reply),
        }])  # fmt: skip


def not_yours(domain: str, owner: str) -> Reply:
    """The refusal that tells a sender what to add."""
    text = f"{domain} is not a sending domain of {owner}; add it before sending as it"
    return Reply(550, "5.7.1", ascii_text(text))


def ascii_text(text: str) -> str:
    """Text that may stand in a reply."""
    return "".join(char if " " <= char <= "~" else "?" for char in text)


def submission(
    message_id: int, caller: Caller, stream_id: int, envelope: Envelope, prepared: Prepared
) -> Submission:
    """Everything that is known of a message, for the spool."""
    return Submission(
        message_id=message_id,
        tenant_id=caller.tenant_id,
        stream_id=stream_id,
        reverse_path=str(envelope.reverse_path) if envelope.reverse_path else "",
        sender_domain=prepared.from_domains[0],
        content=prepared.content,
        recipients=tuple(envelope.recipients),
        subject=prepared.subject,
        instructions=prepared.instructions,
        smtputf8=envelope.smtputf8,
        envid=envelope.envid,
        ret=envelope.ret,
    )
