"""Nobody without the right to send gets as far as a transaction, in whatever form they ask."""

from __future__ import annotations

from base64 import b64encode

import pytest

from mta.mail.smtp_events import MessageReceived, SenderOffered
from mta.mail.smtp_session import SessionRules
from tests.unit.smtp_session.dialogue import Dialogue, codes

STRANGER = SessionRules(hostname="mill.example", trusted=False)
SENDERS = [
    b"MAIL FROM:<a@acme.example>",
    b"MAIL FROM:<>",
    b"MAIL FROM:<postmaster>",
    b"MAIL FROM:<root@mill.example>",
    b"MAIL FROM:<root@localhost>",
    b"MAIL FROM:<root@[127.0.0.1]>",
    b'MAIL FROM:<"a@b"@acme.example>',
    b"MAIL FROM:<@mill.example:a@acme.example>",
    b"MAIL FROM:<a%remote.example@mill.example>",
    b"MAIL FROM:<a@acme.example> AUTH=<a@acme.example>",
    b"mail from:<a@acme.example> SIZE=1",
]


@pytest.mark.parametrize("tls_active", [False, True])
@pytest.mark.parametrize("hello", [b"EHLO", b"HELO"])
@pytest.mark.parametrize("sender", SENDERS)
def test_a_stranger_sends_nothing(sender, hello, tls_active):
    talk = Dialogue(STRANGER, tls_active=tls_active)
    talk.say(hello + b" mill.example\r\n")
    output = talk.say(
        sender + b"\r\nRCPT TO:<victim@remote.example>\r\nBDAT 1 LAST\r\nxDATA\r\n"
    )  # fmt: skip
    assert codes(output) == ["530 5.7.0", "503 5.5.1", "503 5.5.1", "503 5.5.1"]
    assert talk.events == []


def test_a_wrong_password_opens_nothing():
    talk = Dialogue(STRANGER, tls_active=True)
    talk.say(b"EHLO x\r\nAUTH PLAIN " + b64encode(b"\0user\0wrong") + b"\r\n")
    assert codes(talk.say(SENDERS[0] + b"\r\n")) == ["530 5.7.0"]


def test_a_password_in_clear_text_is_not_even_looked_at():
    talk = Dialogue(STRANGER)
    talk.say(b"EHLO x\r\nAUTH PLAIN " + b64encode(b"\0user\0secret") + b"\r\n")
    talk.say(SENDERS[0] + b"\r\n")
    assert talk.events == []


def test_rights_do_not_outlive_their_connection():
    inside = Dialogue(STRANGER, tls_active=True)
    inside.say(b"EHLO x\r\nAUTH PLAIN " + b64encode(b"\0user\0secret") + b"\r\n")
    assert codes(inside.say(SENDERS[0] + b"\r\n")) == ["250 2.1.0"]
    fresh = Dialogue(STRANGER, tls_active=True)
    fresh.say(b"EHLO x\r\n")
    assert codes(fresh.say(SENDERS[0] + b"\r\n")) == ["530 5.7.0"]


def test_a_trusted_client_is_still_asked_about():
    talk = Dialogue(SessionRules(hostname="mill.example", trusted=True))
    talk.say(b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<v@remote.example>\r\nDATA\r\n.\r\n")
    assert [type(event) for event in talk.events] == [SenderOffered, MessageReceived]
