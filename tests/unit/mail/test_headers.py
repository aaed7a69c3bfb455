"""The header section: kept byte for byte, completed, read for senders and loops."""

from datetime import UTC, datetime

import pytest

from mta.mail import headers

AT = datetime(2026, 11, 21, 4, 5, 6, tzinfo=UTC)
DATE = b"Date: Sat, 21 Nov 2026 04:05:06 +0000\r\n"
ID = b"Message-ID: <id@mx.example>\r\n"


def complete(raw: bytes, received: bytes = b"") -> bytes:
    return headers.complete(raw, date=AT, message_id="id@mx.example", received=received)


@pytest.mark.parametrize(
    ("raw", "head", "body"),
    [
        (b"A: 1\r\nB: 2\r\n\r\nx\r\n\r\ny", b"A: 1\r\nB: 2\r\n", b"x\r\n\r\ny"),
        (b"\r\nx", b"", b"x"),
        (b"A: 1\r\n", b"A: 1\r\n", b""),
        (b"", b"", b""),
    ],
)
def test_split(raw: bytes, head: bytes, body: bytes) -> None:
    assert headers.split(raw) == (head, body)


def test_fields_keep_every_byte() -> None:
    head = b"SUBJECT : a\r\n\t b\r\nX:\r\n \r\nno field\r\n more\r\nFrom: \xff\r\n"
    found = headers.fields(head)
    assert b"".join(field for _, field in found) == head
    assert [name for name, _ in found] == [b"subject", b"x", b"", b"from"]
    assert headers.value(found[0][1]) == b"a\t b"
    assert headers.fields(b"A: 1") == [(b"a", b"A: 1\r\n")]


def test_missing_fields_are_added_and_bcc_goes() -> None:
    raw = b"From: a@b.org\r\nBCC: x@y.org,\r\n z@y.org\r\nresent-bcc: q@y.org\r\n"
    raw += b"To:  c@d.org\r\n\r\nhi\r\n"
    assert complete(raw, b"Received: x\r\n") == (
        b"Received: x\r\n" + DATE + ID + b"From: a@b.org\r\nTo:  c@d.org\r\n\r\nhi\r\n"
    )


def test_present_fields_stay_as_they_are() -> None:
    raw = b"date: yesterday\r\nmessage-id: <x>\r\n\r\nhi\r\n"
    assert complete(raw) == raw


@pytest.mark.parametrize(
    ("raw", "rest"),
    [
        (b"A: 1\r\nhello world\r\nB: 2\r\n", b"A: 1\r\n\r\nhello world\r\nB: 2\r\n"),
        (b"A: 1\r\nhello\r\n\r\nmore\r\n", b"A: 1\r\n\r\nhello\r\n\r\nmore\r\n"),
        (b"just text\r\n", b"\r\njust text\r\n"),
        (b"\r\njust text\r\n", b"\r\njust text\r\n"),
        (b"From a@b Sat Nov 21\r\nA: 1\r\n\r\nx\r\n", b"A: 1\r\n\r\nx\r\n"),
        (b"A: 1\r\n", b"A: 1\r\n\r\n"),
    ],
)
def test_header_section_always_ends(raw: bytes, rest: bytes) -> None:
    assert complete(raw) == DATE + ID + rest


def test_obsolete_blank_before_the_colon_goes() -> None:
    raw = b"From\t : a : b\r\nX: y\r\n\r\nhi\r\n"
    assert complete(raw) == DATE + ID + b"From: a : b\r\nX: y\r\n\r\nhi\r\n"


def test_hops_are_counted_in_the_header_only() -> None:
    assert headers.count_hops(b"Received: a\r\nRECEIVED: b\r\nX: c\r\n\r\nReceived: d\r\n") == 2


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (b"From: a@b.org", ["a@b.org"]),
        (b'from: "Lee, Ann"\r\n <a@b.org> (home), c@D.org', ["a@b.org", "c@d.org"]),
        ("From: Zoë <é@b.org>".encode(), ["é@b.org"]),
        (b"From: =?utf-8?B?w6k=?= <a@b.org>", ["a@b.org"]),
        (b"From: a@b.org\r\nFrom: c@d.org", []),
        (b"From: group: a@b.org;", []),
        (b"From: <a@b.org> <c@d.org>", []),
        (b"From: caf\xe9 <a@b.org>", []),
        (b"From:", []),
        (b"Subject: none", []),
    ],
)
def test_from_addresses(field: bytes, expected: list[str]) -> None:
    raw = field + b"\r\n\r\nFrom: body@x.org\r\n"
    assert [str(address) for address in headers.from_addresses(raw)] == expected


def received(
    helo: str = "client.example", peer: str = "192.0.2.1", for_: str | None = None
) -> bytes:
    return headers.received_field(
        helo=helo, peer=peer, by="mx.example", protocol="ESMTPSA", queue_id="0abc", at=AT, for_=for_
    )


def test_received_field() -> None:
    assert received(for_="a@b.org") == (
        b"Received: from client.example ([192.0.2.1])\r\n"
        b"\tby mx.example (Mailmill) with ESMTPSA id 0abc\r\n"
        b"\tfor <a@b.org>;\r\n"
        b"\tSat, 21 Nov 2026 04:05:06 +0000\r\n"
    )
    assert b"([IPv6:2001:db8::1])" in received(peer="2001:db8::1")


def test_nothing_a_client_says_breaks_the_received_field() -> None:
    field = received(helo="x\r\nEvil: 1 (", peer="a)\r\nb", for_="a\r\nEvil: 2@b.org")
    assert [name for name, _ in headers.fields(field)] == [b"received"]
    assert received(helo="").startswith(b"Received: from unknown (")
