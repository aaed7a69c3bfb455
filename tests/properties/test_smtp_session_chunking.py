"""Invariant: however a stream of bytes is cut, a session says and does the same."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from mta.mail.smtp_session import SessionRules
from tests.unit.smtp_session.dialogue import ENVELOPE, Dialogue

RULES = SessionRules(hostname="mill.example", trusted=True, max_message_bytes=60, max_errors=5,
                     max_recipients=3, max_junk=8)  # fmt: skip
#: Pieces that mean something, and pieces that nearly do.
WORDS = st.sampled_from([
    b"EHLO x\r\n", b"HELO x\r\n", b"MAIL FROM:<a@acme.example>\r\n", b"MAIL FROM:<>\r\n",
    b"RCPT TO:<b@remote.example>\r\n", b"RCPT TO:<c@remote.example>\r\n", b"DATA\r\n", b".\r\n",
    b"\r\n.\r\n", b"\n.\n", b"\r.\r", b"\n.\r\n", b"..\r\n", b"BDAT 5\r\n", b"BDAT 5 LAST\r\n",
    b"BDAT 0 LAST\r\n", b"BDAT 70\r\n", b"BDAT x\r\n", b"12345", b"RSET\r\n", b"NOOP\r\n",
    b"QUIT\r\n", b"GET / HTTP/1.1\r\n", b"AUTH PLAIN\r\n", b"AUTH LOGIN dQ==\r\n", b"dQ==\r\n",
    b"*\r\n", b"AUTH PLAIN AHUAc2VjcmV0\r\n", b"Subject: x\r\n\r\n", b"x" * 70, b"x" * 13_000,
    b"\r", b"\n", b"\r\n", b"\x00", b".", b"\xff",
])  # fmt: skip
#: Without these, chance hardly ever gets as far as content.
SCENES = st.sampled_from([
    ENVELOPE + b"DATA\r\n", b"\r\n.\r\n" + ENVELOPE + b"DATA\r\n", ENVELOPE + b"BDAT 5\r\n",
    ENVELOPE, ENVELOPE + b"DATA\r\nx\r\n.\r\n", ENVELOPE + b"BDAT 2 LAST\r\n\r\n",
])  # fmt: skip
STREAMS = st.lists(WORDS | SCENES | st.binary(max_size=4), max_size=40).map(b"".join)
CUTS = st.lists(st.integers(0, 2000) | st.integers(0, 40_000), max_size=30)


def pieces(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    return [stream[begin:end] for begin, end in itertools.pairwise(edges)]


def run(parts: list[bytes], *, greeted: bool) -> tuple[list[object], bytes]:
    talk = Dialogue(RULES, tls_active=True)
    output = talk.say(b"EHLO x\r\n") if greeted else b""
    for part in parts:
        output += talk.say(part)
    return list(talk.events), output


@given(STREAMS, CUTS, st.booleans())
@settings(max_examples=400, deadline=None)
def test_any_cut_gives_the_same_events_and_replies(stream, cuts, greeted):
    assert run(pieces(stream, cuts), greeted=greeted) == run([stream], greeted=greeted)


@given(STREAMS)
@settings(max_examples=100, deadline=None)
def test_octet_by_octet_is_the_same(stream):
    stream = stream[:1500]
    octets = [stream[index : index + 1] for index in range(len(stream))]
    assert run(octets, greeted=True) == run([stream], greeted=True)
