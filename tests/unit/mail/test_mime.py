"""Header values and bodies in their wire encodings, read back by the standard library."""

import quopri
from datetime import UTC, datetime, timedelta, timezone
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest

from mta.mail import mime
from mta.mail.address import Address


def read(raw: bytes) -> EmailMessage:
    message = message_from_bytes(raw, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


@pytest.mark.parametrize(
    "text",
    [
        "Hello", "", "Grüße aus Köln", "word " * 60, "a  b   c " * 20, "é" * 300, "x" * 2000,
        "🎉" * 50, "=?utf-8?B?aGk=?=", "tab\tinside", "x" * 70 + "  " + "y" * 70, "ascii é " * 30,
    ],
)  # fmt: skip
def test_unstructured_values_come_back(text: str) -> None:
    raw = b"Subject: " + mime.unstructured(text, column=9) + b"\r\n\r\n"
    assert raw.isascii()
    lines = raw.split(b"\r\n")
    assert all(len(line) <= 998 for line in lines)
    assert all(line.strip() or not line for line in lines)
    assert read(raw)["Subject"] == text.strip().replace("\t", " ")


@pytest.mark.parametrize(
    "text", ["a\r\nBcc: x", "a\nb", "a\rb", "a\0b", "a\x85b", "a\u2028b", "a\ud800", "\n", "a\x7f"]
)
def test_control_characters_are_refused_everywhere(text: str) -> None:
    for make in (
        mime.unstructured,
        mime.structured,
        lambda value: mime.mailbox(value, Address("a", "b.org")),
        lambda value: mime.parameter("filename", value),
    ):
        with pytest.raises(ValueError, match="control character"):
            make(text)


def test_header_values_are_bounded() -> None:
    assert mime.unstructured("x " * (mime.MAX_VALUE // 2))
    with pytest.raises(ValueError, match="longer"):
        mime.unstructured("x" * (mime.MAX_VALUE + 1))


def test_structured_values_are_ascii_and_fold() -> None:
    links = ", ".join(f"<https://example.org/{'x' * 40}{index}>" for index in range(5))
    folded = mime.structured(links, column=18)
    assert max(map(len, folded.split(b"\r\n"))) <= 76
    assert folded.replace(b"\r\n", b"").decode() == links
    for bad in ("é", "x" * 1000):
        with pytest.raises(ValueError):
            mime.structured(bad)


@pytest.mark.parametrize(
    "name",
    ["", "Ann Lee", "Lee, Ann", 'Ann "A" \\ Lee', "Zoë", "J. Q. Public", "=?x?=", "x" * 300,
     "very long name " * 10 + "end", "a  b", "🎉 party, (x) <y>", "a@b.org"],
)  # fmt: skip
def test_mailboxes_come_back(name: str) -> None:
    raw = b"To: " + mime.mailbox(name, Address("a", "b.org"), column=4) + b"\r\n\r\n"
    assert raw.isascii()
    (address,) = read(raw)["To"].addresses
    assert (address.display_name, address.addr_spec) == (name, "a@b.org")


def test_internationalised_local_part_stays_utf_8() -> None:
    assert (
        mime.mailbox("Zoë", Address("zoë", "b.org")) == "=?utf-8?B?Wm/Dqw==?= <zoë@b.org>".encode()
    )


@pytest.mark.parametrize(
    "name", ["a.pdf", 'q"u\\o.txt', "résumé.pdf", "日本" * 60 + ".txt", "x" * 200, "a b;c.txt"]
)
def test_file_names_come_back(name: str) -> None:
    raw = b"Content-Disposition: attachment" + mime.parameter("filename", name) + b"\r\n\r\nx"
    assert raw.isascii()
    assert max(map(len, raw.split(b"\r\n"))) <= 78
    assert read(raw).get_filename() == name


@pytest.mark.parametrize(
    "text",
    ["text/plain", "application/vnd.x+json", 'text/calendar; method=REQUEST; charset="utf-8"'],
)
def test_content_types(text: str) -> None:
    assert mime.check_content_type(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "text", "text/", "/plain", "text/plain; x", "text/plain\r\nBcc: x", "text/pl ain", "té/x",
     'text/plain; a="b', "text/plain;" + " " * 300, "text/plain\n", 'a/b; c="\r\n"'],
)  # fmt: skip
def test_other_content_types_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="type/subtype"):
        mime.check_content_type(text)


@pytest.mark.parametrize("wire", [b"", b"plain\r\nlines\r\n", b"x" * 78 + b"\r\n", b". \r\n.\r\n"])
def test_short_ascii_stays_as_it_is(wire: bytes) -> None:
    assert mime.encode_text(wire) == (b"7bit", wire)


@pytest.mark.parametrize(
    "wire",
    ["é".encode(), b"x" * 79, b"x" * 2000, b"From me\r\n",
     b"a\r\nFrom me\r\n" + b"y" * 90, b"--=_b\r\n",
     b"nul\0\r\n", "ends in blank \r\n.\r\né \r\n".encode()],
)  # fmt: skip
def test_everything_else_is_quoted_printable(wire: bytes) -> None:
    encoding, body = mime.encode_text(wire)
    assert encoding == b"quoted-printable"
    assert body.isascii()
    assert max(map(len, body.split(b"\r\n"))) <= 76
    assert body.count(b"\n") == body.count(b"\r\n")
    assert not any(line.startswith(b"From ") or line == b"." for line in body.split(b"\r\n"))
    assert b"=_" not in body
    assert quopri.decodestring(body) == wire


def test_base64_lines() -> None:
    assert mime.base64_lines(b"x" * 60) == b"eHh4" * 19 + b"\r\n" + b"eHh4" + b"\r\n"


def test_date_row_is_of_its_own_zone() -> None:
    west = datetime(2026, 11, 20, 23, 5, 6, tzinfo=timezone(timedelta(hours=-5)))
    for date, row in (
        (west.astimezone(UTC), "Date: Sat, 21 Nov 2026 04:05:06 +0000"),
        (west, "Date: Fri, 20 Nov 2026 23:05:06 -0500"),
        (west.astimezone(UTC), "Date: Sat, 21 Nov 2026 04:05:06 +0000"),
        (west.astimezone(UTC) + timedelta(seconds=1), "Date: Sat, 21 Nov 2026 04:05:07 +0000"),
    ):
        assert mime.date_row(date) == row
