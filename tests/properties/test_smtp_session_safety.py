"""Invariants of the session whatever the client says: no smuggling, no relay, no injection."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from mta.mail import wire
from mta.mail.smtp_events import Authenticate, Ended, MessageReceived, SenderOffered, UpgradeTls
from mta.mail.smtp_session import SessionRules
from tests.properties.test_smtp_session_chunking import STREAMS
from tests.unit.smtp_session.dialogue import ENVELOPE, Dialogue

LINES = st.binary(max_size=30).map(lambda line: line.replace(b"\r\n", b"").rstrip(b"\r"))


@given(st.lists(LINES, max_size=20))
def test_what_a_correct_client_sends_arrives_as_it_was_or_not_at_all(lines):
    content = b"".join(line + b"\r\n" for line in lines)
    talk = Dialogue()
    talk.say(b"EHLO x\r\n" + ENVELOPE + b"DATA\r\n")
    talk.say(wire.dot_stuff(content if content else b"\r\n") + b".\r\n")
    expected = [] if wire.check(content) else [content or b"\r\n"]
    assert talk.contents == expected


@given(st.binary(max_size=200), st.binary(max_size=50))
def test_data_makes_at_most_the_messages_that_true_ends_allow(content, after):
    talk = Dialogue()
    talk.say(b"EHLO x\r\n" + ENVELOPE + b"DATA\r\n" + content + after)
    assert len(talk.messages) <= (b"\r\n" + content + after).count(b"\r\n.\r\n")


@given(STREAMS)
@settings(deadline=None)
def test_no_content_with_false_line_ends_is_ever_handed_on(stream):
    talk = Dialogue()
    talk.say(b"EHLO x\r\n" + ENVELOPE + b"DATA\r\n" + stream + b"\r\n.\r\n")
    assert all(wire.check(content) is None for content in talk.contents)


@given(STREAMS)
@settings(deadline=None)
def test_a_stranger_never_gets_a_transaction(stream):
    talk = Dialogue(SessionRules(hostname="mill.example", trusted=False), tls_active=False)
    talk.say(b"EHLO x\r\n" + stream)
    assert not any(
        isinstance(event, SenderOffered | MessageReceived | Authenticate) for event in talk.events
    )


@given(STREAMS.filter(bool), st.booleans())
@settings(deadline=None)
def test_nothing_behind_starttls_is_carried_out(stream, in_one_piece):
    talk = Dialogue()
    talk.say(b"EHLO x\r\n")
    for part in [b"STARTTLS\r\n" + stream] if in_one_piece else [b"STARTTLS\r\n", stream]:
        talk.say(part)
    assert talk.events == ([] if in_one_piece else [UpgradeTls()]) + [Ended("injection")]


@given(STREAMS)
@settings(deadline=None)
def test_replies_are_lines_of_printable_ascii_of_bounded_length(stream):
    talk = Dialogue(tls_active=True)
    for line in talk.say(stream).split(b"\r\n")[:-1]:
        assert line[:3].isdigit()
        assert line.isascii()
        assert line.decode().isprintable()
        assert len(line) <= 510
