"""AUTH PLAIN and LOGIN. RFC 4954, RFC 4616"""

from __future__ import annotations

from base64 import b64encode

import pytest

from mta.mail.smtp_events import Authenticate
from mta.mail.smtp_session import SessionRules
from tests.unit.smtp_session.dialogue import ENVELOPE, Dialogue, codes

PLAIN = b64encode(b"\0user\0secret")


@pytest.fixture
def talk():
    dialogue = Dialogue(SessionRules(hostname="mill.example"), tls_active=True)
    dialogue.say(b"EHLO client.example\r\n")
    return dialogue


@pytest.mark.parametrize(
    "said",
    [
        b"AUTH PLAIN " + PLAIN + b"\r\n",
        b"auth plain " + b64encode(b"user\0user\0secret") + b"\r\n",
        b"AUTH PLAIN\r\n" + PLAIN + b"\r\n",
        b"AUTH LOGIN\r\n" + b64encode(b"user") + b"\r\n" + b64encode(b"secret") + b"\r\n",
        b"AUTH LOGIN " + b64encode(b"user") + b"\r\n" + b64encode(b"secret") + b"\r\n",
    ],
)
def test_ways_in(talk, said):
    assert codes(talk.say(said))[-1] == "235 2.7.0"
    assert talk.events == [Authenticate("user", "secret")]
    assert codes(talk.say(ENVELOPE)) == ["250 2.1.0", "250 2.1.5"]
    assert talk.session.protocol == "ESMTPSA"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"AUTH", "501 5.5.4"),
        (b"AUTH CRAM-MD5", "504 5.5.4"),
        (b"AUTH PLAIN !!!", "501 5.5.2"),
        (b"AUTH PLAIN =", "501 5.5.2"),
        (b"AUTH PLAIN " + b64encode(b"user\0secret"), "501 5.5.2"),
        (b"AUTH PLAIN " + b64encode(b"\0\0secret"), "501 5.5.2"),
        (b"AUTH PLAIN " + b64encode(b"\0user\0"), "501 5.5.2"),
        (b"AUTH PLAIN " + b64encode(b"\0\xff\0secret"), "501 5.5.2"),
        (b"AUTH PLAIN " + b64encode(b"other\0user\0secret"), "535 5.7.8"),
        (b"AUTH PLAIN " + b64encode(b"\0user\0wrong"), "535 5.7.8"),
        (b"AUTH PLAIN\r\n*", "501 5.7.0"),
        (b"AUTH LOGIN\r\n*", "501 5.7.0"),
        (b"AUTH PLAIN\r\n" + b"A" * 13000, "500 5.5.2"),
        (b"AUTH PLAIN\r\n" + PLAIN + b"\nNOOP", "500 5.5.2"),
    ],
)
def test_refusals(talk, said, code):
    output = codes(talk.say(said + b"\r\n"))
    assert code in output[-2:]
    assert not talk.session.authenticated
    assert codes(talk.say(ENVELOPE))[0] == "530 5.7.0"


def test_once_is_enough(talk):
    talk.say(b"AUTH PLAIN " + PLAIN + b"\r\n")
    assert codes(talk.say(b"AUTH PLAIN " + PLAIN + b"\r\n")) == ["503 5.5.1"]


def test_not_inside_a_transaction():
    talk = Dialogue(tls_active=True)
    talk.say(b"EHLO x\r\nMAIL FROM:<>\r\n")
    assert codes(talk.say(b"AUTH PLAIN " + PLAIN + b"\r\n")) == ["503 5.5.1"]


def test_three_wrong_passwords_end_the_session(talk):
    wrong = b"AUTH PLAIN " + b64encode(b"\0user\0wrong") + b"\r\n"
    assert codes(talk.say(wrong * 5)) == ["535 5.7.8"] * 3 + ["421 4.7.0"]
    assert talk.ended == "auth"


def test_a_password_is_in_no_representation():
    assert "secret" not in repr(Authenticate("user", "secret"))


def test_tls_forgets_the_client(talk):
    outside = Dialogue(SessionRules(hostname="mill.example", trusted=True))
    outside.say(b"EHLO before\r\nMAIL FROM:<a@acme.example>\r\nSTARTTLS\r\n")
    outside.session.accept()
    assert outside.session.helo == ""
    assert codes(outside.say(b"RCPT TO:<b@remote.example>\r\n")) == ["503 5.5.1"]
    assert codes(outside.say(b"EHLO after\r\nSTARTTLS\r\n")) == ["250 AUTH", "503 5.5.1"]
