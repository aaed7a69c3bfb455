"""The wire form of a message: CRLF line ends, dot-stuffing, and what a 7-bit peer can take.

Rule 1: only CRLF ends a line. A bare CR or LF, and NUL, never go out: receivers that take them for
        line ends let a second message be smuggled into the first.
Rule 2: the form is settled before signing; nothing after the signature changes a byte.
"""

from mta.mail.sevenbit import fits, re_encode


def check(raw: bytes) -> str | None:
    """Why `raw` may not be taken in as it is, or None: bare CR, bare LF, NUL (RFC 5321 2.3.8)."""
    pairs = raw.count(b"\r\n")
    if raw.count(b"\n") != pairs:
        return "bare LF: every line must end in CRLF"
    if raw.count(b"\r") != pairs:
        return "bare CR: every line must end in CRLF"
    if b"\0" in raw:
        return "NUL character"
    return None


def to_wire(raw: bytes) -> bytes:
    """Any line ends made CRLF, the last line ended; NUL is left for `check` to refuse."""
    pairs = raw.count(b"\r\n")
    if raw.count(b"\n") != pairs or raw.count(b"\r") != pairs:
        raw = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
    return raw if raw.endswith(b"\r\n") else raw + b"\r\n"


def dot_stuff(wire: bytes) -> bytes:
    """Content of DATA without the final dot (RFC 5321 4.5.2); a missing last CRLF is added."""
    if wire.rfind(b"\n.") >= 0:  # `in`, looking forward, takes three times as long
        wire = wire.replace(b"\r\n.", b"\r\n..")
    if wire.startswith(b"."):
        wire = b"." + wire
    return wire if wire.endswith(b"\r\n") else wire + b"\r\n"


def is_eight_bit(wire: bytes) -> bool:
    """Whether any octet is above 127, so that 8BITMIME (RFC 6152) is needed."""
    return not wire.isascii()


def longest_line(wire: bytes) -> int:
    """Octets of the longest line, CRLF not counted; 998 is the limit (RFC 5321 4.5.3.1.6)."""
    return max(map(len, wire.split(b"\r\n")))


def make_seven_bit_safe(raw: bytes) -> bytes:
    """The message with every body part ASCII and within 998 octets a line, structure kept.

    Done before signing. Only parts that need it change: texts become quoted-printable, other parts
    base64. The inside of multipart/signed is never touched, nor are header fields: what stays
    8-bit there, `is_eight_bit` still tells.
    """
    wire = to_wire(raw)
    return wire if fits(wire) else re_encode(wire)
