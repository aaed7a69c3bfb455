"""Parameters of MAIL and RCPT. RFC 1870, 3461, 6152, 6531, 4954"""

from __future__ import annotations

import pytest

from mta.mail.smtp_session import SessionRules
from tests.unit.smtp_session.dialogue import Dialogue, codes


@pytest.fixture
def talk():
    rules = SessionRules(hostname="mill.example", trusted=True, max_message_bytes=1000,
                         max_recipients=3)  # fmt: skip
    dialogue = Dialogue(rules, tls_active=True)
    dialogue.say(b"EHLO client.example\r\n")
    return dialogue


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ("SIZE=1000", "250 2.1.0"),
        ("SIZE=1001", "552 5.3.4"),
        ("SIZE=", "501 5.5.4"),
        ("SIZE=-1", "501 5.5.4"),
        ("SIZE=1 SIZE=2", "501 5.5.4"),
        ("BODY=8BITMIME", "250 2.1.0"),
        ("body=7bit", "250 2.1.0"),
        ("BODY=BINARYMIME", "501 5.5.4"),
        ("SMTPUTF8", "250 2.1.0"),
        ("SMTPUTF8=yes", "501 5.5.4"),
        ("RET=HDRS ENVID=QQ+3D314159", "250 2.1.0"),
        ("RET=ALL", "501 5.5.4"),
        ("ENVID=", "501 5.5.4"),
        ("ENVID=a+3d", "501 5.5.4"),
        ("ENVID=" + "x" * 101, "501 5.5.4"),
        ("AUTH=<>", "250 2.1.0"),
        ("AUTH=", "501 5.5.4"),
        ("FUTURE=1", "555 5.5.4"),
    ],
)
def test_mail_parameters(talk, parameters, code):
    assert codes(talk.say(f"MAIL FROM:<a@acme.example> {parameters}\r\n".encode())) == [code]


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ("NOTIFY=NEVER", "250 2.1.5"),
        ("NOTIFY=success,FAILURE,delay", "250 2.1.5"),
        ("NOTIFY=NEVER,FAILURE", "501 5.5.4"),
        ("NOTIFY=FAILURE,FAILURE", "501 5.5.4"),
        ("NOTIFY=", "501 5.5.4"),
        ("NOTIFY=SOMETIMES", "501 5.5.4"),
        ("ORCPT=rfc822;Bob@remote.example", "250 2.1.5"),
        ("ORCPT=rfc822;a+2Bb@remote.example NOTIFY=FAILURE", "250 2.1.5"),
        ("ORCPT=rfc822;a+b@remote.example", "501 5.5.4"),
        ("ORCPT=rfc822", "501 5.5.4"),
        ("ORCPT=;x", "501 5.5.4"),
        ("ORCPT=rfc822;" + "x" * 500, "501 5.5.4"),
        ("SIZE=1", "555 5.5.4"),
    ],
)
def test_rcpt_parameters(talk, parameters, code):
    talk.say(b"MAIL FROM:<a@acme.example>\r\n")
    assert codes(talk.say(f"RCPT TO:<b@remote.example> {parameters}\r\n".encode())) == [code]


def test_dsn_parameters_are_passed_on(talk):
    talk.say(
        b"MAIL FROM:<a@acme.example> RET=hdrs ENVID=QQ+3D1 SIZE=5 BODY=8BITMIME\r\n"
        b"RCPT TO:<b@remote.example> notify=success,failure orcpt=rfc822;B@remote.example\r\n"
        b"DATA\r\n.\r\n"
    )
    envelope = talk.messages[0].envelope
    assert (envelope.ret, envelope.envid, envelope.declared_size) == ("HDRS", "QQ+3D1", 5)
    assert envelope.eight_bit
    [recipient] = envelope.recipients
    assert (recipient.notify, recipient.orcpt) == ("SUCCESS,FAILURE", "rfc822;B@remote.example")


def test_auth_parameter_only_where_auth_is_offered():
    talk = Dialogue()
    talk.say(b"EHLO x\r\n")
    assert codes(talk.say(b"MAIL FROM:<a@acme.example> AUTH=<>\r\n")) == ["555 5.5.4"]


def test_internationalised_addresses_need_smtputf8(talk):
    assert codes(talk.say("MAIL FROM:<ä@acme.example>\r\n".encode())) == ["550 5.6.7"]
    talk.say(b"MAIL FROM:<a@acme.example>\r\n")
    assert codes(talk.say("RCPT TO:<b@münchen.example>\r\n".encode())) == ["553 5.6.7"]
    talk.say(b"RSET\r\nMAIL FROM:<a@acme.example> SMTPUTF8\r\n")
    assert codes(talk.say("RCPT TO:<ü@münchen.example>\r\n".encode())) == ["250 2.1.5"]
    talk.say(b"DATA\r\n.\r\n")
    [recipient] = talk.messages[0].envelope.recipients
    assert str(recipient.address) == "ü@xn--mnchen-3ya.example"


def test_too_many_recipients_is_temporary_and_no_error(talk):
    talk.say(b"MAIL FROM:<a@acme.example>\r\n")
    said = b"".join(b"RCPT TO:<r%d@remote.example>\r\n" % number for number in range(40))
    assert codes(talk.say(said)) == ["250 2.1.5"] * 3 + ["452 4.5.3"] * 37
    assert codes(talk.say(b"DATA\r\n.\r\n"))[-1] == "250 2.0.0"
    assert len(talk.messages[0].envelope.recipients) == 3
