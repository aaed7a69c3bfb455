"""What is put on the wire for one message, and what a peer is never asked."""

from typing import Any

import pytest

from mta.mail.reply import Reply
from mta.net.smtp_envelope import Envelope, Offer, Outcome, Transaction, parse_offer, prepare

FULL = parse_offer(
    ["mx.test hello", "PIPELINING", "size 1000", "8BITMIME", "SMTPUTF8", "DSN", "AUTH PLAIN"]
)


def transaction(**changes):
    values: dict[str, Any] = {
        "key": 7,
        "reverse_path": "a@sender.test",
        "forward_path": "b@receiver.test",
        "content": b"Subject: x\r\n\r\nhello\r\n",
    }
    return Transaction(**(values | changes))


def commands(item: Envelope | Outcome) -> tuple[bytes, bytes]:
    assert isinstance(item, Envelope), item
    return item.mail, item.rcpt


def refusal(item: Envelope | Outcome) -> Reply:
    assert isinstance(item, Outcome), item
    assert (item.key, item.delivered, item.stage, item.error) == (7, False, "local", "")
    assert item.reply is not None
    return item.reply


def test_offer_is_read_without_regard_to_case():
    assert FULL.keywords >= {"PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "DSN", "AUTH"}
    assert FULL.size == 1000
    assert parse_offer(["PIPELINING says hello"]) == Offer()
    assert parse_offer(["mx", "SIZE", "", "SIZE x", "SIZE 0"]).size == 0


def test_a_plain_envelope():
    assert commands(prepare(transaction(), Offer())) == (
        b"MAIL FROM:<a@sender.test>\r\n",
        b"RCPT TO:<b@receiver.test>\r\n",
    )


def test_parameters_follow_the_offer():
    item = prepare(
        transaction(
            reverse_path="",
            forward_path="jürgen@receiver.test",
            eight_bit=True,
            mail_options=("RET=HDRS", "ENVID=x"),
            rcpt_options=("NOTIFY=NEVER",),
        ),
        FULL,
    )
    assert commands(item) == (
        b"MAIL FROM:<> SIZE=21 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=x\r\n",
        "RCPT TO:<jürgen@receiver.test> NOTIFY=NEVER\r\n".encode(),
    )


def test_dsn_parameters_are_left_out_for_a_peer_without_dsn_and_others_kept():
    item = prepare(
        transaction(
            mail_options=("RET=HDRS", "REQUIRETLS"), rcpt_options=("notify=NEVER", "ORCPT=x;y")
        ),
        Offer(frozenset({"PIPELINING"})),
    )
    assert commands(item) == (
        b"MAIL FROM:<a@sender.test> REQUIRETLS\r\n",
        b"RCPT TO:<b@receiver.test>\r\n",
    )


@pytest.mark.parametrize(
    ("changes", "offer", "code", "enhanced"),
    [
        ({"smtputf8": True}, Offer(), 550, "5.6.7"),
        ({"forward_path": "jürgen@x.test"}, Offer(), 550, "5.6.7"),
        ({"content": b"x" * 1001}, FULL, 552, "5.3.4"),
        ({"eight_bit": True}, Offer(), 554, "5.6.3"),
        ({"reverse_path": "a@b>\r\nRCPT TO:<c@d"}, FULL, 553, "5.1.7"),
        ({"forward_path": "a\x00@b"}, FULL, 553, "5.1.3"),
        ({"mail_options": ("RET=HDRS\n",)}, FULL, 555, "5.5.4"),
        ({"rcpt_options": ("NOTIFY=NEVER\rX",)}, FULL, 555, "5.5.4"),
    ],
)
def test_what_the_peer_cannot_take_is_refused_here(changes, offer, code, enhanced):
    reply = refusal(prepare(transaction(**changes), offer))
    assert (reply.code, reply.enhanced) == (code, enhanced)


def test_a_message_of_exactly_the_limit_is_sent():
    assert commands(prepare(transaction(content=b"x" * 1000), FULL))[0].count(b"SIZE=1000") == 1
