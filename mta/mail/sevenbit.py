"""Re-encoding of body parts for peers that take 7-bit lines of 998 octets (RFC 6152 3, RFC 2045 6).

Rule 1: bytes of parts that already fit, and every header field but the encoding, stay as they came.
Rule 2: what RFC 1847 signed is not touched; a broken structure is left alone.
"""

import binascii
import re
from email import message_from_bytes
from email.message import Message

from mta.mail.headers import fields, split
from mta.mail.mime import HARD_LINE, base64_lines, quoted_printable

_MAX_DEPTH = 40
_MAX_PARTS = 5_000  # a parse of its own each: more is an attack on our time
_NEST = frozenset({"message/rfc822", "message/global"})


def fits(wire: bytes) -> bool:
    """Whether every octet is ASCII and every line within 998 octets."""
    return wire.isascii() and max(map(len, wire.split(b"\r\n"))) <= HARD_LINE


def re_encode(entity: bytes, *, default: str = "text/plain", depth: int = 0) -> bytes:
    """A message or body part (wire form) with every part of it fitting.

    `default` is the type of an entity that names none (RFC 2046 5.1.5).
    """
    head, body = split(entity)
    if fits(body) or depth > _MAX_DEPTH:
        return entity
    told = message_from_bytes(head + b"\r\n")
    told.set_default_type(default)
    kind = told.get_content_type()
    if kind == "multipart/signed":
        return entity
    if kind.startswith("multipart/"):
        boundary = str(told.get_boundary() or "").encode("utf-8", "surrogateescape")
        if not boundary:
            return entity
        inner = "message/rfc822" if kind == "multipart/digest" else "text/plain"
        encoding, body = b"7bit", _multipart(body, boundary, inner, depth)
    elif kind in _NEST:
        encoding, body = b"7bit", re_encode(body, depth=depth + 1)
    else:
        encoding, body = _leaf(told, body)
    return _retitle(head, encoding, body, top=depth == 0) + b"\r\n" + body


def _multipart(body: bytes, boundary: bytes, default: str, depth: int) -> bytes:
    delimiter = re.compile(rb"(?:\A|\r\n)--" + re.escape(boundary) + rb"(--)?[ \t]*(?=\r\n|\Z)")
    marks = list(delimiter.finditer(body))
    if not marks or body.count(b"\r\n--") > _MAX_PARTS:
        return body
    preamble = body[: marks[0].start()]
    out = [preamble if fits(preamble) else b""]
    for mark, following in zip(marks, [*marks[1:], None], strict=True):
        out.append(mark[0])
        end = following.start() if following else len(body)
        if mark[1]:
            epilogue = body[mark.end() :]
            out.append(epilogue if fits(epilogue) else b"\r\n")
            break
        begin = min(mark.end() + 2, end)
        out.append(body[mark.end() : begin])
        out.append(re_encode(body[begin:end], default=default, depth=depth + 1))
    return b"".join(out)


def _leaf(told: Message, body: bytes) -> tuple[bytes, bytes]:
    """(encoding, body) of a part that holds no others."""
    data = body
    stated = str(told.get("Content-Transfer-Encoding", "")).strip().lower()
    try:
        if stated == "quoted-printable":
            data = binascii.a2b_qp(body)
        elif stated == "base64":
            data = binascii.a2b_base64(body)
    except binascii.Error:
        stated = ""  # not what it says it is: carried as the bytes it has
    if told.get_content_maintype() == "text" and b"\0" not in data:
        lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
        return b"quoted-printable", quoted_printable(lines)
    coded = base64_lines(data)
    return b"base64", coded if body.endswith(b"\r\n") else coded.removesuffix(b"\r\n")


def _retitle(head: bytes, encoding: bytes, body: bytes, *, top: bool) -> bytes:
    """The header section with its Content-Transfer-Encoding replaced or added."""
    field = b"Content-Transfer-Encoding: " + encoding + b"\r\n"
    out, names = [], set()
    for name, whole in fields(head):
        if name != b"content-transfer-encoding":
            out.append(whole)
        elif name not in names:
            out.append(field)
        names.add(name)
    if b"content-transfer-encoding" not in names and encoding != b"7bit":
        out.append(field)
    if b"content-type" not in names and encoding == b"quoted-printable":
        out.append(b"Content-Type: text/plain; charset=" + _charset(body) + b"\r\n")
    if top and b"mime-version" not in names:
        out.append(b"MIME-Version: 1.0\r\n")
    return b"".join(out)


def _charset(quoted: bytes) -> bytes:
    """The name for 8-bit text that names none: what it is, or that nobody knows (RFC 1428)."""
    try:
        binascii.a2b_qp(quoted).decode("utf-8")
    except UnicodeDecodeError:
        return b"unknown-8bit"
    return b"utf-8"
