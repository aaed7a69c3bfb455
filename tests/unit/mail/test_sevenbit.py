"""Messages for peers without 8BITMIME: same meaning, ASCII lines within 998 octets."""

from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest

from mta.mail.headers import split
from mta.mail.wire import is_eight_bit, longest_line, make_seven_bit_safe

TEXT = "Grüße aus Köln\r\n" + "x" * 1500 + "\r\n.\r\nFrom here\r\n"


def parse(raw: bytes) -> EmailMessage:
    message = message_from_bytes(raw, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def assert_safe(raw: bytes) -> None:
    assert not is_eight_bit(raw)
    assert longest_line(raw) <= 998


def test_text_keeps_its_words_and_its_header() -> None:
    head = b"Subject: x\r\n  folded\r\nX-oDD:  1\r\nContent-Type: text/plain; charset=utf-8\r\n"
    head += b"MIME-Version: 1.0\r\nContent-Transfer-Encoding: 8bit\r\n"
    safe = make_seven_bit_safe(head + b"\r\n" + TEXT.encode())
    assert_safe(safe)
    assert split(safe)[0] == head.replace(b"8bit", b"quoted-printable")
    assert parse(safe).get_content() == TEXT


@pytest.mark.parametrize(
    ("octets", "charset"), [(TEXT.encode(), "utf-8"), (b"caf\xe9", "unknown-8bit")]
)
def test_untitled_text_gets_mime_fields(octets: bytes, charset: str) -> None:
    safe = make_seven_bit_safe(b"Subject: x\r\n\r\n" + octets)
    assert_safe(safe)
    message = parse(safe)
    assert message["MIME-Version"] == "1.0"
    assert message.get_content_charset() == charset
    assert message.get_payload(decode=True) == octets.removesuffix(b"\r\n") + b"\r\n"


def test_fitting_message_is_untouched() -> None:
    raw = b"Subject: x\r\n\r\nhello\r\n"
    assert make_seven_bit_safe(raw) == raw


NESTED = b"""\
From: a@b.org
Content-Type: multipart/mixed; boundary="b 1"
Content-Transfer-Encoding: 8bit

pr\xc3\xa4ambel
--b 1
Content-Type: multipart/alternative; boundary=b

--b
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: 8bit

caf\xe9
--b
Content-Type: text/html; charset=us-ascii

<p>short</p>
--b--
--b 1
Content-Type: application/octet-stream
Content-Transfer-Encoding: binary

\x80\x81\x00\xff
--b 1

--b 1
Content-Type: message/rfc822
Content-Transfer-Encoding: 8bit

Subject: inner
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

\xc3\xa9
--b 1--
epil\xc3\xb6g
""".replace(b"\n", b"\r\n")


def test_structure_is_kept() -> None:
    safe = make_seven_bit_safe(NESTED)
    assert_safe(safe)
    before, after = parse(NESTED), parse(safe)
    assert [part.get_content_type() for part in after.walk()] == [
        part.get_content_type() for part in before.walk()
    ]
    leaves = [part for part in after.walk() if not part.is_multipart()]
    assert [part.get_payload(decode=True) for part in leaves] == [
        b"caf\xe9", b"<p>short</p>", b"\x80\x81\x00\xff", b"", "é".encode(),
    ]  # fmt: skip
    assert [part["Content-Transfer-Encoding"] for part in after.walk()] == [
        "7bit", None, "quoted-printable", None, "base64", None, "7bit", "quoted-printable",
    ]  # fmt: skip
    assert b"<p>short</p>\r\n--b--" in safe


def test_signed_parts_are_left_alone() -> None:
    raw = NESTED.replace(b"multipart/alternative;", b"multipart/signed;")
    assert b"caf\xe9\r\n--b\r\n" in make_seven_bit_safe(raw)


def test_part_bombs_are_left_alone() -> None:
    raw = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\n\xe9\r\n" * 6000
    assert split(make_seven_bit_safe(raw))[1] == split(raw)[1]


def test_digest_parts_are_messages() -> None:
    raw = "Content-Type: multipart/digest; boundary=b\r\n\r\n"
    raw += "--b\r\n\r\nSubject: x\r\n\r\né\r\n--b--\r\n"
    safe = make_seven_bit_safe(raw.encode())
    assert_safe(safe)
    assert [part.get_content_type() for part in parse(safe).walk()] == [
        "multipart/digest", "message/rfc822", "text/plain",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("encoding", "body", "content"),
    [
        (b"quoted-printable", b"=C3=A9" * 300, "é".encode() * 300),
        (b"base64", b"w6nDqcOp" * 200, "é".encode() * 600),
        (b"base64", b"A\xff", b"A\xff"),
    ],
)
def test_long_coded_lines_are_broken(encoding: bytes, body: bytes, content: bytes) -> None:
    head = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: " + encoding
    safe = make_seven_bit_safe(head + b"\r\n\r\n" + body + b"\r\n")
    assert_safe(safe)
    payload = parse(safe).get_payload(decode=True)
    assert isinstance(payload, bytes)
    assert payload.rstrip(b"\r\n") == content


def test_broken_structure_is_left_alone() -> None:
    for head in (b"Content-Type: multipart/mixed", b"Content-Type: multipart/mixed; boundary=x"):
        raw = head + b"\r\n\r\n\xc3\xa9\r\n"
        assert split(make_seven_bit_safe(raw))[1] == "é\r\n".encode()
