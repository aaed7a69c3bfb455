"""The content of a message as it comes over the wire: dots unstuffed, faults named."""

from __future__ import annotations

MAX_LINE = 998


def without_stuffing(content: bytes) -> bytes:
    """RFC 5321 4.5.2: the first dot of a line that begins with one goes."""
    if not content.startswith(b".") and b"\r\n." not in content:
        return content
    return (b"\r\n" + content).replace(b"\r\n.", b"\r\n")[2:]


def fault(content: bytes, *, eight_bit: bool) -> str:
    """The refusal a message earns by its form, "" when it is well formed."""
    lines = content.split(b"\r\n")
    if len(lines) - 1 != content.count(b"\n") or len(lines) - 1 != content.count(b"\r"):
        return "550 5.6.11 Bare CR or LF"
    if b"\0" in content:
        return "550 5.6.11 NUL in the message"
    if max(map(len, lines)) > MAX_LINE:
        return "500 5.6.0 Line longer than 998 octets"
    if not eight_bit and not content.isascii():
        return "554 5.6.3 8-bit content was not announced"
    return ""
