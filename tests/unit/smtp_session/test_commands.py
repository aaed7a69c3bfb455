"""Each command, in and out of order. RFC 5321 section 4.1"""

from __future__ import annotations

import pytest

from mta.mail.reply import Reply
from mta.mail.smtp_session import SessionRules
from tests.unit.smtp_session.dialogue import ENVELOPE, Dialogue, codes


@pytest.fixture
def talk():
    dialogue = Dialogue()
    dialogue.say(b"EHLO client.example\r\n")
    return dialogue


def test_ehlo_offers_what_is_promised():
    offered = Dialogue().say(b"EHLO client.example\r\n").decode().splitlines()
    assert offered[0] == "250-mill.example greets client.example"
    assert [line[4:] for line in offered[1:]] == [
        "PIPELINING", "SIZE 26214400", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES",
        "CHUNKING", "DSN", "STARTTLS",
    ]  # fmt: skip


def test_auth_is_offered_only_inside_tls():
    inside = Dialogue(tls_active=True).say(b"EHLO x\r\n")
    assert b"AUTH PLAIN LOGIN\r\n" in inside
    assert b"STARTTLS" not in inside
    assert b"AUTH" not in Dialogue().say(b"EHLO x\r\n")


def test_a_whole_message(talk):
    assert codes(talk.say(ENVELOPE)) == ["250 2.1.0", "250 2.1.5"]
    assert talk.say(b"DATA\r\n").startswith(b"354 ")
    assert codes(talk.say(b"Subject: x\r\n\r\n..dot\r\n.\r\n")) == ["250 2.0.0"]
    assert talk.contents == [b"Subject: x\r\n\r\n.dot\r\n"]
    assert str(talk.messages[0].envelope.reverse_path) == "a@acme.example"
    assert codes(talk.say(b"QUIT\r\n")) == ["221 2.0.0"]
    assert talk.ended == "quit"


def test_an_empty_message_ends_with_the_first_dot(talk):
    talk.say(ENVELOPE + b"DATA\r\n")
    assert codes(talk.say(b".\r\n")) == ["250 2.0.0"]
    assert talk.contents == [b""]


def test_everything_in_one_write(talk):
    output = talk.say(ENVELOPE + b"DATA\r\nx\r\n.\r\n" + ENVELOPE + b"DATA\r\ny\r\n.\r\nQUIT\r\n")
    assert talk.contents == [b"x\r\n", b"y\r\n"]
    assert codes(output)[-1] == "221 2.0.0"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"NOOP anything", "250 2.0.0"),
        (b"RSET", "250 2.0.0"),
        (b"RSET now", "501 5.5.4"),
        (b"HELP", "214 2.0.0"),
        (b"VRFY bob", "252 2.5.0"),
        (b"VRFY", "501 5.5.4"),
        (b"EXPN list", "502 5.5.1"),
        (b"FROBNICATE", "500 5.5.1"),
        (b"", "500 5.5.1"),
        (b"mail from:<a@acme.example>", "250 2.1.0"),
        (b"MAIL FROM:<>", "250 2.1.0"),
        (b"MAIL FROM: <a@acme.example>", "250 2.1.0"),
        (b"MAIL FROM:a@acme.example", "501 5.5.4"),
        (b"MAIL FROM:<a@acme.example>SIZE=1", "501 5.5.4"),
        (b"MAIL TO:<a@acme.example>", "501 5.5.4"),
        (b"MAIL FROM:<not an address>", "553 5.1.7"),
        (b'MAIL FROM:<"a>b"@acme.example>', "250 2.1.0"),
        (b"MAIL FROM:<@relay.example,@two.example:a@acme.example>", "250 2.1.0"),
        (b"RCPT TO:<b@remote.example>", "503 5.5.1"),
        (b"DATA", "503 5.5.1"),
        (b"EHLO", "501 5.5.4"),
        (b"HELO", "501 5.5.4"),
        (b"EHLO a b", "501 5.5.4"),
        (b"HELO client.example", "250 mill.example"),
        (b"AUTH PLAIN AGEAYg==", "538 5.7.11"),
        (b"STARTTLS now", "501 5.5.4"),
        (b"NOOP \x00", "500 5.5.2"),
        (b"NOOP \x07", "500 5.5.2"),
        (b"NOOP \xff", "500 5.5.2"),
        (b"NOOP " + b"x" * 600, "500 5.5.2"),
        (b"MAIL FROM:<a@acme.example>" + b" " * 1200, "500 5.5.2"),
    ],
)
def test_one_command_after_ehlo(talk, said, code):
    assert codes(talk.say(said + b"\r\n")) == [code]


@pytest.mark.parametrize(
    "said", [b"MAIL FROM:<a@acme.example>", b"RCPT TO:<b@c.example>", b"DATA", b"STARTTLS"]
)
def test_nothing_before_ehlo(said):
    assert codes(Dialogue().say(said + b"\r\n")) == ["503 5.5.1"]


def test_a_second_mail_is_refused_and_the_first_stands(talk):
    talk.say(ENVELOPE)
    assert codes(talk.say(b"MAIL FROM:<c@acme.example>\r\n")) == ["503 5.5.1"]
    talk.say(b"DATA\r\n.\r\n")
    assert str(talk.messages[0].envelope.reverse_path) == "a@acme.example"


@pytest.mark.parametrize("said", [b"RSET\r\n", b"EHLO again\r\n", b"HELO again\r\n"])
def test_what_forgets_the_transaction(talk, said):
    talk.say(ENVELOPE + said)
    assert codes(talk.say(b"DATA\r\n")) == ["503 5.5.1"]


def test_data_without_valid_recipients(talk):
    talk.say(b"MAIL FROM:<a@acme.example>\r\n")
    assert codes(talk.say(b"RCPT TO:<nonsense>\r\nDATA\r\n")) == ["553 5.1.3", "503 5.5.1"]


def test_a_recipient_given_twice_gets_one_copy(talk):
    talk.say(
        ENVELOPE + b"RCPT TO:<b@REMOTE.example>\r\nRCPT TO:<B@remote.example>\r\nDATA\r\n.\r\n"
    )
    addresses = [str(each.address) for each in talk.messages[0].envelope.recipients]
    assert addresses == ["b@remote.example", "B@remote.example"]


def test_postmaster_without_a_domain_is_ours(talk):
    talk.say(b"MAIL FROM:<>\r\nRCPT TO:<Postmaster>\r\nDATA\r\n.\r\n")
    [recipient] = talk.messages[0].envelope.recipients
    assert str(recipient.address) == "postmaster@mill.example"


def test_a_refused_sender_leaves_no_transaction(talk):
    talk.refuse_with = Reply(550, "5.7.1", "not yours")
    assert codes(talk.say(ENVELOPE)) == ["550 5.7.1", "503 5.5.1"]


def test_a_browser_is_shown_the_door(talk):
    output = talk.say(
        b"POST / HTTP/1.1\r\nHost: mill.example\r\n\r\nMAIL FROM:<a@acme.example>\r\n"
    )
    assert codes(output) == ["421 4.7.0"]
    assert talk.ended == "protocol"


def test_many_errors_end_the_session():
    talk = Dialogue(SessionRules(hostname="mill.example", max_errors=3))
    output = talk.say(b"WHAT\r\n" * 10)
    assert codes(output) == ["500 5.5.1"] * 4 + ["421 4.7.0"]
    assert talk.ended == "errors"


def test_an_accepted_message_forgives_errors():
    talk = Dialogue(SessionRules(hostname="mill.example", trusted=True, max_errors=3))
    talk.say(b"EHLO x\r\n")
    for _ in range(3):
        talk.say(b"WHAT\r\n" * 3 + ENVELOPE + b"DATA\r\n.\r\n")
    assert len(talk.messages) == 3
    assert not talk.ended


def test_commands_without_mail_are_limited():
    talk = Dialogue(SessionRules(hostname="mill.example", max_junk=5))
    assert codes(talk.say(b"NOOP\r\n" * 20))[-1] == "421 4.7.0"
    assert talk.ended == "errors"


def test_after_quit_nothing_is_heard(talk):
    assert codes(talk.say(b"QUIT\r\n" + ENVELOPE)) == ["221 2.0.0"]
    assert talk.say(b"NOOP\r\n") == b""


def test_a_line_without_end_takes_no_memory(talk):
    for _ in range(100):
        talk.say(b"x" * 10_000)
    assert talk.session.held < 20_000
    assert codes(talk.say(b"\r\nNOOP\r\n")) == ["500 5.5.2", "250 2.0.0"]


def test_protocol_names_for_received():
    talk = Dialogue(tls_active=True)
    assert talk.session.protocol == "SMTP"
    talk.say(b"EHLO x\r\n")
    assert talk.session.protocol == "ESMTPS"
    talk.say(b"MAIL FROM:<> SMTPUTF8\r\n")
    assert talk.session.protocol == "UTF8SMTPS"
