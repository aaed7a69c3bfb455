"""SMTP smuggling: no form of false line ends makes a second message, by DATA or by BDAT.

The attack: content that this server takes as one message and the next as two, or the reverse
(the End-of-Data disagreements published in December 2023). Only CR LF . CR LF ends DATA here, and
content with a bare CR, a bare LF or a NUL is refused, so that it is passed on to nobody.
"""

from __future__ import annotations

import pytest

from tests.unit.smtp_session.dialogue import ENVELOPE, Dialogue, codes

SMUGGLED = (
    b"MAIL FROM:<boss@acme.example>\r\nRCPT TO:<victim@remote.example>\r\nDATA\r\n"
    b"Subject: smuggled\r\n\r\nPay\r\n"
)
#: Everything that somebody's server has taken for the end of data.
FALSE_ENDS = [
    b"\n.\n",
    b"\n.\r\n",
    b"\n.\r",
    b"\r.\r",
    b"\r.\r\n",
    b"\r.\n",
    b"\r\n.\r",
    b"\r\n.\n",
    b"\r\n.\r\r\n",
    b"\r\r\n.\r\r\n",
    b"\n\r.\n\r",
    b"\r\n\x00.\r\n",
    b"\r\n.\x00\r\n",
    b"\r\n\x00\r\n.\x00\r\n",
    b"\n\n.\n\n",
    b"\r\n\r.\r\n",
    b"\r\n\n.\r\n",
]


@pytest.fixture
def talk():
    dialogue = Dialogue()
    dialogue.say(b"EHLO client.example\r\n")
    return dialogue


@pytest.mark.parametrize("false_end", FALSE_ENDS, ids=repr)
def test_data_has_one_end_and_the_message_is_refused(talk, false_end):
    talk.say(ENVELOPE + b"DATA\r\n")
    output = talk.say(b"Subject: a\r\n\r\nx" + false_end + SMUGGLED + b"\r\n.\r\n")
    assert codes(output) == ["550 5.6.11"]
    assert talk.messages == []


@pytest.mark.parametrize("false_end", FALSE_ENDS, ids=repr)
def test_the_session_goes_on_cleanly_afterwards(talk, false_end):
    talk.say(ENVELOPE + b"DATA\r\nx" + false_end + SMUGGLED + b"\r\n.\r\n")
    assert codes(talk.say(ENVELOPE + b"DATA\r\nclean\r\n.\r\n"))[-1] == "250 2.0.0"
    assert talk.contents == [b"clean\r\n"]


@pytest.mark.parametrize("false_end", FALSE_ENDS, ids=repr)
def test_a_chunk_is_refused_as_well(talk, false_end):
    content = b"Subject: a\r\n\r\nx" + false_end + SMUGGLED
    output = talk.say(ENVELOPE + b"BDAT %d LAST\r\n" % len(content) + content + b"NOOP\r\n")
    assert codes(output)[2:] == ["550 5.6.11", "250 2.0.0"]
    assert talk.messages == []


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_false_end_across_chunks(talk, cut):
    content = b"x\r\ny\n.\r\nMAIL FROM:<boss@acme.example>\r\n"
    output = talk.say(
        ENVELOPE + b"BDAT %d\r\n" % cut + content[:cut]
        + b"BDAT %d LAST\r\n" % (len(content) - cut) + content[cut:]
    )  # fmt: skip
    assert codes(output)[2:] == ["250 2.0.0", "550 5.6.11"]


def test_a_chunk_with_the_true_end_of_data_stays_one_message(talk):
    content = b"Subject: a\r\n\r\nx\r\n.\r\n" + SMUGGLED
    talk.say(ENVELOPE + b"BDAT %d LAST\r\n" % len(content) + content)
    assert talk.contents == [content]


def test_the_first_line_may_not_be_a_false_dot(talk):
    talk.say(ENVELOPE + b"DATA\r\n")
    assert talk.say(b".\n") == b""
    assert talk.say(b".\r") == b""
    assert codes(talk.say(b"\r\n.\r\n")) == ["550 5.6.11"]


def test_only_a_whole_dot_line_ends(talk):
    talk.say(ENVELOPE + b"DATA\r\n")
    for almost in (b"..\r\n", b". \r\n", b" .\r\n", b".x\r\n"):
        assert talk.say(almost) == b""
    talk.say(b".\r\n")
    assert talk.contents == [b".\r\n \r\n .\r\nx\r\n"]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\n\r", b"\r\r\n", b"\x00\r\n"], ids=repr)
def test_a_command_needs_its_line_end_too(talk, end):
    talk.say(b"MAIL FROM:<a@acme.example>" + end + b"RCPT TO:<b@remote.example>" + end + b"\r\n")
    assert talk.events == []
    assert talk.session.envelope is None


def test_nothing_of_a_line_with_a_bare_line_feed_is_carried_out(talk):
    assert codes(talk.say(b"NOOP\nMAIL FROM:<a@acme.example>\r\n")) == ["500 5.5.2", "250 2.1.0"]
    assert talk.say(b"RSET\rQUIT\r\n") == b"500 5.5.2 Command lines must end with CR LF\r\n"
    assert talk.session.envelope is not None
