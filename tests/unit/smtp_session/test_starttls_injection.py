"""Clear text behind STARTTLS is never taken for something said inside TLS. RFC 3207 section 6

The attack: a man in the middle appends commands to the client's STARTTLS packet; a server that
keeps its buffer carries them out in the name of the client that authenticates afterwards.
"""

from __future__ import annotations

import pytest

from mta.mail.smtp_events import Ended, UpgradeTls
from mta.mail.smtp_session import SessionRules
from tests.unit.smtp_session.dialogue import Dialogue, codes

INJECTED = [
    b"\r\n",
    b"x",
    b"RSET\r\n",
    b"EHLO evil\r\nMAIL FROM:<evil@acme.example>\r\nRCPT TO:<victim@remote.example>\r\nDATA\r\n",
    b"AUTH PLAIN AGEAYg==\r\n",
    b"\x16\x03\x01",
]


@pytest.fixture
def talk():
    dialogue = Dialogue(SessionRules(hostname="mill.example", trusted=True))
    dialogue.say(b"EHLO client.example\r\n")
    return dialogue


@pytest.mark.parametrize("injected", INJECTED)
def test_in_the_same_packet(talk, injected):
    assert codes(talk.say(b"STARTTLS\r\n" + injected)) == ["554 5.5.1"]
    assert talk.events == [Ended("injection")]


@pytest.mark.parametrize("injected", INJECTED)
def test_in_the_next_packet_before_the_handshake(talk, injected):
    assert codes(talk.say(b"STARTTLS\r\n")) == ["220 2.0.0"]
    talk.say(injected)
    assert talk.events == [UpgradeTls(), Ended("injection")]
    assert not talk.session.waiting


def test_the_handshake_starts_an_empty_session(talk):
    talk.say(b"MAIL FROM:<a@acme.example>\r\nRCPT TO:<b@remote.example>\r\nSTARTTLS\r\n")
    talk.session.accept()
    assert talk.session.envelope is None
    assert codes(talk.say(b"DATA\r\n")) == ["503 5.5.1"]
    assert codes(talk.say(b"MAIL FROM:<a@acme.example>\r\n")) == ["503 5.5.1"]


def test_tls_cannot_be_begun_twice(talk):
    talk.say(b"STARTTLS\r\n")
    talk.session.accept()
    assert codes(talk.say(b"EHLO x\r\nSTARTTLS\r\n"))[-1] == "503 5.5.1"


def test_not_offered_means_refused():
    talk = Dialogue(SessionRules(hostname="mill.example", tls_available=False))
    assert b"STARTTLS" not in talk.say(b"EHLO x\r\n")
    assert codes(talk.say(b"STARTTLS\r\nNOOP\r\n")) == ["502 5.5.1", "250 2.0.0"]
