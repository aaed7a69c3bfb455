"""Smuggling over a real socket: one DATA never becomes two messages. See the unit test's table."""

from __future__ import annotations

import pytest

from mta.smtpd.config import Kind
from tests.effects.smtpd.listener import LETTER, RawClient
from tests.unit.smtp_session.test_smuggling import FALSE_ENDS, SMUGGLED

ENVELOPE = b"MAIL FROM:<a@acme.example>\r\nRCPT TO:<b@remote.example>\r\n"


@pytest.mark.parametrize("by_chunk", [False, True])
def test_false_ends_are_refused_and_a_clean_message_follows(listener, door, by_chunk):
    with RawClient(listener.ports[Kind.RELAY]) as client:
        client.ask(b"EHLO x\r\n")
        for false_end in FALSE_ENDS:
            content = LETTER + false_end + SMUGGLED
            client.say(ENVELOPE)
            assert [client.reply()[:3] for _ in range(2)] == [b"250", b"250"]
            if by_chunk:
                client.say(b"BDAT %d LAST\r\n" % len(content) + content)
            else:
                assert client.ask(b"DATA\r\n").startswith(b"354")
                client.say(content + b"\r\n.\r\n")
            assert client.reply().startswith(b"550 5.6.11"), false_end
        client.say(ENVELOPE + b"BDAT %d LAST\r\n" % len(LETTER) + LETTER)
        assert [client.reply()[:3] for _ in range(3)] == [b"250", b"250", b"250"]
    [stored] = door.stored
    assert stored.content.endswith(b"\r\n\r\nBody\r\n")
