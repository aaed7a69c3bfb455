"""What becomes of a message between the dot and the spool."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mta.mail import smtp_message
from mta.mail.reply import Reply
from mta.mail.smtp_message import Prepared

AT = datetime(2026, 11, 21, 4, 38, 31, tzinfo=UTC)
RECEIVED = (
    b"Received: from x ([127.0.0.1])\r\n\tby mill.example; Sat, 21 Nov 2026 04:38:31 +0000\r\n"
)
OWN = b"Date: Sat, 21 Nov 2026 00:00:00 +0000\r\nMessage-ID: <own@acme.example>\r\n"


def prepare(raw: bytes) -> Prepared | Reply:
    return smtp_message.prepare(raw, received=RECEIVED, date=AT, message_id="id@mill.example")


def prepared(raw: bytes) -> Prepared:
    outcome = prepare(raw)
    assert isinstance(outcome, Prepared), outcome
    return outcome


def refusal(raw: bytes) -> Reply:
    outcome = prepare(raw)
    assert isinstance(outcome, Reply), outcome
    return outcome


def test_what_is_there_stays_byte_for_byte():
    raw = b"SUBJECT:x\r\n\ty\r\n" + OWN + b"from: A <a@ACME.example>\r\n\r\n\r\nbody\r\n"
    message = prepared(raw)
    assert message.content == RECEIVED + raw
    assert message.from_domains == ("acme.example",)
    assert message.subject == "x\ty"


def test_what_is_missing_is_added():
    content = prepared(b"From: a@acme.example\r\n\r\nbody\r\n").content
    assert b"\r\nDate: Sat, 21 Nov 2026 04:38:31 +0000\r\n" in content
    assert b"\r\nMessage-ID: <id@mill.example>\r\n" in content


def test_bcc_does_not_leave():
    content = prepared(
        OWN + b"Bcc: secret@x.example,\r\n two@x.example\r\nFrom: a@acme.example\r\n\r\n"
    )
    assert b"secret" not in content.content
    assert b"two@x" not in content.content


def test_instructions_are_read_and_taken_out():
    message = prepared(
        OWN + b"X-Mailmill-Stream: marketing\r\nx-mailmill-campaign: spring\r\n"
        b"X-Mailmill-Tags: a, b,,a\r\nX-MAILMILL-METADATA: {\"order\":\r\n 7}\r\n"
        b"X-Mailmill-Engaged: Yes\r\n"
        b"From: a@acme.example\r\n\r\nX-Mailmill-Stream: body\r\n"
    )  # fmt: skip
    assert message.instructions == smtp_message.Instructions(
        "marketing", "spring", ("a", "b"), {"order": 7}, engaged=True
    )
    head, body = message.content.split(b"\r\n\r\n", 1)
    assert b"mailmill" not in head.lower().replace(b"mill.example", b"")
    assert body == b"X-Mailmill-Stream: body\r\n"


@pytest.mark.parametrize(
    ("field", "named"),
    [
        (b"X-Mailmill-Metadata: [1]", "JSON object"),
        (b"X-Mailmill-Metadata: {", "JSON object"),
        (b'X-Mailmill-Metadata: {"a": NaN}', "JSON object"),
        (b"X-Mailmill-Metadata: " + b"[" * 5000, "JSON object"),
        (b'X-Mailmill-Metadata: {"a": "' + b"x" * 9000 + b'"}', "8192"),
        (b"X-Mailmill-Campaign: " + b"x" * 129, "Campaign"),
        (b"X-Mailmill-Tags: " + b",".join(b"t%d" % n for n in range(21)), "Tags"),
        (b"X-Mailmill-Tags: " + b"x" * 65, "Tags"),
        (b"X-Mailmill-Engaged: often", "yes or no"),
        (b"X-Mailmill-Steam: marketing", "X-Mailmill-steam is not known"),
    ],
)
def test_instructions_that_do_not_fit_name_the_field(field, named):
    reply = refusal(field + b"\r\nFrom: a@acme.example\r\n\r\n")
    assert (reply.code, reply.enhanced) == (550, "5.6.0")
    assert named in reply.text


@pytest.mark.parametrize(
    "head",
    [
        b"Subject: none\r\n",
        b"From: a@acme.example\r\nFrom: b@acme.example\r\n",
        b"From: a@acme.example\r\nFROM : evil@other.example\r\n",
        b"From: nobody\r\n",
        b"From:\r\n",
        b"From: a@acme.example, broken\r\n",
        b"From: \xff@acme.example\r\n",
        b"",
    ],
)
def test_from_must_be_one_field_that_can_be_read(head):
    assert refusal(head + b"\r\nFrom: a@acme.example\r\n").enhanced == "5.7.1"


def test_every_domain_of_from_counts():
    message = prepared(b"From: a@acme.example, b@other.example, c@acme.example\r\n\r\n")
    assert message.from_domains == ("acme.example", "other.example")


def test_fifty_hops_are_a_long_way_and_one_more_is_a_loop():
    hop = b"Received: from a by b; Sat, 21 Nov 2026 04:38:31 +0000\r\n"
    prepared(hop * 50 + b"From: a@acme.example\r\n\r\n")
    reply = refusal(hop * 51 + b"From: a@acme.example\r\n\r\n")
    assert (reply.code, reply.enhanced) == (554, "5.4.6")


@pytest.mark.parametrize(
    ("raw", "subject"),
    [
        (b"=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
        ("Grüße".encode(), "Grüße"),
        (b"=?nonsense?q?x?=", "=?nonsense?q?x?="),
        (b"x" * 300, "x" * 200),
    ],
)
def test_the_subject_is_for_people(raw, subject):
    assert prepared(b"From: a@acme.example\r\nSubject: " + raw + b"\r\n\r\n").subject == subject
