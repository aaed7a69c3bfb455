"""A quota that refuses: 452 after DATA for the whole message, and nothing is counted in vain."""

from __future__ import annotations

from mta.smtpd.config import Kind
from tests.effects.smtpd.listener import LETTER, RawClient
from tests.services.processes import wait_until

LETTER_OF = LETTER.replace(b"acme", b"counted")


def hand_in(client: RawClient, recipients: int, content: bytes = LETTER_OF) -> bytes:
    """The reply to the dot."""
    assert client.ask(b"MAIL FROM:<a@counted.example>\r\n").startswith(b"250")
    for number in range(recipients):
        to = b"RCPT TO:<b%d@remote.example>\r\n" % number
        assert client.ask(to).startswith(b"250")
    assert client.ask(b"DATA\r\n").startswith(b"354")
    return client.ask(content + b".\r\n")


def test_what_does_not_fit_is_refused_for_now(listener, door):
    with RawClient(listener.ports[Kind.RELAY]) as client:
        client.ask(b"EHLO x\r\n")
        assert hand_in(client, 2).startswith(b"250 2.0.0")
        assert hand_in(client, 2) == b"452 4.7.1 Over quota; try again in 60 s\r\n"
        # The session goes on, and what fits is taken.
        assert hand_in(client, 1).startswith(b"250 2.0.0")
        assert hand_in(client, 1).startswith(b"452 4.7.1")
    assert [len(each.recipients) for each in door.stored] == [2, 1]


def test_what_cannot_be_stored_is_not_counted(listener, door):
    with RawClient(listener.ports[Kind.RELAY]) as client:
        client.ask(b"EHLO x\r\n")
        assert hand_in(client, 3, LETTER_OF.replace(b"hello", b"poison")).startswith(b"451")
        # Uncounted by a thread, beside the answer.
        wait_until(lambda: door.used == 0, 10, "the count was taken back")


def test_a_count_that_fails_is_answered_for_now(listener, door):
    with RawClient(listener.ports[Kind.RELAY]) as client:
        client.ask(b"EHLO x\r\n")
        assert hand_in(client, 1).startswith(b"250")
        door.count = None  # any failure of the door's own
        assert hand_in(client, 1).startswith(b"451 4.3.0")
