"""The operator's policy at the SMTP door: before anything is counted or stored."""

from __future__ import annotations

from dataclasses import replace

from mta.smtpd.config import Kind
from mta.smtpd.submission import Judged, Submission
from tests.effects.smtpd.listener import LETTER, RawClient
from tests.effects.smtpd.test_quota import LETTER_OF


def hand_in(client: RawClient, sender: bytes, content: bytes) -> bytes:
    """The reply to the dot."""
    assert client.ask(b"MAIL FROM:<a@%b.example>\r\n" % sender).startswith(b"250")
    assert client.ask(b"RCPT TO:<b@remote.example>\r\n").startswith(b"250")
    assert client.ask(b"DATA\r\n").startswith(b"354")
    return client.ask(content + b".\r\n")


def test_a_message_is_changed_refused_or_put_off(listener, door):
    def policy(submission: Submission) -> Judged:
        said = submission.instructions
        if submission.tenant_id == 1:
            return Judged(replace(said, campaign="changed"))
        return Judged(said, "not here", later=submission.subject == "later")

    door.policy = policy
    with RawClient(listener.ports[Kind.RELAY]) as client:
        client.ask(b"EHLO x\r\n")
        assert hand_in(client, b"acme", LETTER).startswith(b"250 2.0.0")
        assert hand_in(client, b"counted", LETTER_OF) == b"550 5.7.1 not here\r\n"
        later = b"Subject: later\r\n" + LETTER_OF
        assert hand_in(client, b"counted", later) == b"451 4.3.0 not here\r\n"
    assert [each.instructions.campaign for each in door.stored] == ["changed"]
    assert door.used == 0, "what is refused is not counted"


def test_a_policy_that_cannot_be_asked_is_answered_for_now(listener, door):
    door.policy = 5  # any failure of the door's own
    with RawClient(listener.ports[Kind.RELAY]) as client:
        client.ask(b"EHLO x\r\n")
        assert hand_in(client, b"acme", LETTER).startswith(b"451 4.3.0")
    assert door.stored == []
