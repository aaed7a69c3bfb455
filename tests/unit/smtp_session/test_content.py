"""DATA and BDAT: limits, chunks, pipelining. RFC 5321 4.1.1.4, RFC 3030"""

from __future__ import annotations

import pytest

from mta.mail.reply import Reply
from mta.mail.smtp_session import SessionRules
from tests.unit.smtp_session.dialogue import ENVELOPE, Dialogue, codes


@pytest.fixture
def talk():
    rules = SessionRules(hostname="mill.example", trusted=True, max_message_bytes=100)
    dialogue = Dialogue(rules)
    dialogue.say(b"EHLO client.example\r\n")
    return dialogue


def test_the_limit_counts_octets_without_stuffing(talk):
    exact = b".\r\n" * 32 + b"12\r\n"
    assert len(exact) == 100
    output = talk.say(ENVELOPE + b"DATA\r\n" + exact.replace(b".\r\n", b"..\r\n") + b".\r\n")
    assert codes(output)[-1] == "250 2.0.0"
    assert talk.contents == [exact]


def test_one_octet_more_is_too_large(talk):
    output = talk.say(ENVELOPE + b"DATA\r\n" + b"x" * 99 + b"\r\n.\r\nNOOP\r\n")
    assert codes(output)[-2:] == ["552 5.3.4", "250 2.0.0"]
    assert talk.messages == []


def test_far_too_much_takes_no_memory_and_ends_at_the_dot(talk):
    talk.say(ENVELOPE + b"DATA\r\n")
    for _ in range(1000):
        assert talk.say(b"x" * 998 + b"\r\n") == b""
        assert talk.session.held < 2500
    assert codes(talk.say(b".\r\nNOOP\r\n")) == ["552 5.3.4", "250 2.0.0"]


def test_chunks_make_one_message(talk):
    output = talk.say(ENVELOPE + b"BDAT 4\r\na\r\n.BDAT 5\r\n\r\nb\r\nBDAT 0 LAST\r\nNOOP\r\n")
    assert codes(output)[2:] == ["250 2.0.0"] * 4
    assert talk.contents == [b"a\r\n.\r\nb\r\n"]


def test_commands_inside_a_chunk_are_content(talk):
    inner = b"RSET\r\nQUIT\r\n.\r\nMAIL FROM:<x@acme.example>\r\n"
    talk.say(ENVELOPE + b"BDAT %d LAST\r\n" % len(inner) + inner)
    assert talk.contents == [inner]
    assert not talk.ended


def test_a_missing_last_line_end_is_added(talk):
    talk.say(ENVELOPE + b"BDAT 1 LAST\r\nx")
    assert talk.contents == [b"x\r\n"]


@pytest.mark.parametrize(
    ("before", "code"),
    [
        (b"", "503 5.5.1"),
        (b"MAIL FROM:<a@acme.example>\r\n", "503 5.5.1"),
        (b"MAIL FROM:<a@acme.example>\r\nRCPT TO:<nonsense>\r\n", "503 5.5.1"),
    ],
)
def test_a_refused_chunk_is_swallowed_whole(talk, before, code):
    output = talk.say(before + b"BDAT 6 LAST\r\nQUIT\r\nNOOP\r\n")
    assert codes(output)[-2:] == [code, "250 2.0.0"]
    assert not talk.ended


def test_chunks_over_the_limit_refuse_the_message_up_to_last(talk):
    output = talk.say(
        ENVELOPE + b"BDAT 90\r\n" + b"x" * 90 + b"BDAT 20\r\n" + b"x" * 20
        + b"BDAT 1\r\nxBDAT 1 LAST\r\nx" + ENVELOPE
    )  # fmt: skip
    assert codes(output)[2:] == ["250 2.0.0", "552 5.3.4", "503 5.5.1", "503 5.5.1", "250 2.1.0",
                                 "250 2.1.5"]  # fmt: skip
    assert talk.messages == []


def test_a_huge_chunk_takes_no_memory(talk):
    talk.say(ENVELOPE + b"BDAT 99999999999 LAST\r\n")
    talk.say(b"x" * 100_000)
    assert talk.session.held == 0


def test_data_and_chunks_do_not_mix(talk):
    output = talk.say(ENVELOPE + b"BDAT 1\r\nxDATA\r\nRCPT TO:<c@remote.example>\r\nRSET\r\n")
    assert codes(output)[2:] == ["250 2.0.0", "503 5.5.1", "503 5.5.1", "250 2.0.0"]


@pytest.mark.parametrize("argument", [b"", b" x", b" -1", b" 1 FIRST", b" 1 LAST x"])
def test_a_chunk_of_unknown_size_ends_the_session(talk, argument):
    output = talk.say(ENVELOPE + b"BDAT" + argument + b"\r\nMAIL FROM:<x@acme.example>\r\n")
    assert codes(output)[2:] == ["501 5.5.4"]
    assert talk.ended == "protocol"


def test_abandoned_content_is_refused_at_its_end(talk):
    talk.say(ENVELOPE + b"DATA\r\nhalf\r\n")
    talk.session.abandon_content(Reply(452, "4.3.1", "no room"))
    assert codes(talk.say(b"rest\r\n.\r\nNOOP\r\n")) == ["452 4.3.1", "250 2.0.0"]
    assert talk.messages == []


def test_what_follows_a_message_waits_for_its_answer(talk):
    session = talk.session
    session.receive(ENVELOPE + b"BDAT 1 LAST\r\nxQUIT\r\n")
    session.next_event()
    session.accept()
    assert session.next_event() is not None
    assert session.next_event() is None
    assert session.waiting
    assert b"221" not in session.take_output()
    session.refuse(Reply(451, "4.3.0", "later"))
    session.next_event()
    assert codes(session.take_output()) == ["451 4.3.0", "221 2.0.0"]
