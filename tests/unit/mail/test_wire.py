"""Line ends, dots and the limits of 7-bit peers."""

import pytest

from mta.mail import wire


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"a\r\nb\r\n", None),
        (b"", None),
        (b"a\nb\r\n", "bare LF"),
        (b"a\r\n.\nb\r\n", "bare LF"),
        (b"a\rb\r\n", "bare CR"),
        (b"a\r\r\n", "bare CR"),
        (b"a\n\r\n", "bare LF"),
        (b"a\n\rb\r\n", "bare LF"),
        (b"a\0b\r\n", "NUL"),
    ],
)
def test_smuggling_forms_are_told(raw: bytes, reason: str | None) -> None:
    said = wire.check(raw)
    assert said is None if reason is None else said is not None and said.startswith(reason)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", b"\r\n"),
        (b"a", b"a\r\n"),
        (b"a\nb\rc\r\nd", b"a\r\nb\r\nc\r\nd\r\n"),
        (b"\n\r", b"\r\n\r\n"),
        (b"a\r\r\n", b"a\r\n\r\n"),
        (b"clean\r\n", b"clean\r\n"),
    ],
)
def test_wire_form(raw: bytes, expected: bytes) -> None:
    assert wire.to_wire(raw) == expected
    assert wire.check(expected) is None


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b".", b"..\r\n"),
        (b".\r\n.\r\n..\r\na.b\r\n", b"..\r\n..\r\n...\r\na.b\r\n"),
        (b"\r\n.x\r\n", b"\r\n..x\r\n"),
        (b"plain", b"plain\r\n"),
        (b"", b"\r\n"),
    ],
)
def test_dots_are_stuffed(content: bytes, expected: bytes) -> None:
    assert wire.dot_stuff(content) == expected


def test_measures() -> None:
    assert wire.longest_line(b"abc\r\nde\r\n") == 3
    assert wire.is_eight_bit("é".encode())
    assert not wire.is_eight_bit(b"e")
