"""Text for the wire: header fields (RFC 2047, RFC 2231) and body encodings (RFC 2045).

Rule 1: nothing that comes out of here holds a line end that was not put there on purpose.
Rule 2: unfolding and decoding what comes out gives the text that went in, outer blanks excepted.
"""

import base64
import binascii
import re
from datetime import UTC, datetime
from email.utils import format_datetime

from mta.mail.address import Address

LINE = 76
HARD_LINE = 998  # RFC 5322 2.1.1, without CRLF
MAX_VALUE = 20_000

_dated = (datetime.min.replace(tzinfo=UTC), "")

_FORBIDDEN = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]+"  # noqa: S105 - RFC 2045 calls it so
_CONTENT_TYPE = re.compile(
    rf"({_TOKEN}/{_TOKEN})(?:[ ]*;[ ]*{_TOKEN}=(?:{_TOKEN}|\"(?:[ !#-\[\]-~]|\\[ -~])*\"))*"
)
#: A text below this length needs no look for words that cannot be folded.
SHORT = HARD_LINE - 100
_LONG_WORD = re.compile(rf"[^ ]{{{SHORT}}}")


def clean_value(text: str) -> str:
    """One line of header text, outer blanks removed, tabs as spaces.

    Raises ValueError when it holds a line end or another control character (header injection), or
    more than MAX_VALUE characters.
    """
    if len(text) > MAX_VALUE:
        raise ValueError(f"is longer than {MAX_VALUE} characters")
    if not text.isprintable():
        if _FORBIDDEN.search(text):
            raise ValueError("holds a line end or another control character")
        text = text.replace("\t", " ")
    return text.strip(" ")


def unstructured(text: str, *, column: int = 0) -> bytes:
    """The value of an unstructured field (Subject, X-...) folded, in RFC 2047 words where needed.

    `column` is the width of what stands before it on its line. Raises ValueError as clean_value.
    """
    text = clean_value(text)
    # Literal "=?" would be taken for an encoded word; a word of 900 octets cannot be folded.
    if text.isascii() and "=?" not in text:
        if len(text) + column <= LINE:
            return text.encode("ascii")
        if len(text) < SHORT or not _LONG_WORD.search(text):
            return fold(text, column=column).encode("ascii")
    return encoded_words(text).encode("ascii")


def structured(text: str, *, column: int = 0) -> bytes:
    """The value of a field with a grammar of its own, folded at its blanks; ASCII only.

    Raises ValueError: not ASCII, a control character, or a word that passes the line limit.
    """
    text = clean_value(text)
    if not text.isascii():
        raise ValueError("must be ASCII: use percent-encoding or A-labels")
    if len(text) >= SHORT and _LONG_WORD.search(text):
        raise ValueError(f"holds a word of {SHORT} characters or more")
    return fold(text, column=column).encode("ascii")


def encoded_words(text: str) -> str:
    """`text` as RFC 2047 B words in UTF-8, one a line, no character cut in two."""
    if not text.isascii():
        words, start, octets = [], 0, 0
        for index, character in enumerate(text):
            width = len(character.encode())
            if octets + width > 45:
                words.append(text[start:index])
                start, octets = index, 0
            octets += width
        words.append(text[start:])
    else:
        words = [text[index : index + 45] for index in range(0, len(text), 45)]
    return "\r\n ".join(
        f"=?utf-8?B?{binascii.b2a_base64(word.encode(), newline=False).decode()}?="
        for word in words
    )


def fold(text: str, *, column: int = 0) -> str:
    """Break at single blanks so that lines stay within 76 where words allow; no line is blank."""
    if column + len(text) <= LINE:
        return text
    lines, line, width = [], "", column
    for index, word in enumerate(text.split(" ")):
        if index and word and line.strip(" ") and width + 1 + len(word) > LINE:
            lines.append(line)
            line, width = word, 1 + len(word)
        else:
            line = f"{line} {word}" if index else word
            width += len(word) + 1
    return "\r\n ".join([*lines, line])


def mailbox(name: str, address: Address, *, column: int = 0) -> bytes:
    """`Name <a@b>` for an address field; a non-ASCII local part stays UTF-8 (RFC 6532).

    Raises ValueError when the name holds control characters.
    """
    name = clean_value(name)
    spec = f"{address.local}@{address.domain}" if address.local.isalnum() else str(address)
    if not name:
        return spec.encode()
    if _ATOMS.fullmatch(name) and "=?" not in name:
        phrase = name
    elif name.isascii() and "=?" not in name and len(name) <= HARD_LINE - 200:
        phrase = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    else:
        phrase = encoded_words(name)
    last_line = phrase[phrase.rfind("\n") + 1 :] if "\n" in phrase else " " * column + phrase
    gap = " " if len(last_line) + len(spec) + 3 <= LINE else "\r\n "
    return f"{phrase}{gap}<{spec}>".encode()


def date_row(date: datetime) -> str:
    """The Date field to the second, without CRLF."""
    global _dated  # noqa: PLW0603 - one memory a process; a pair is replaced as a whole
    known, row = _dated
    if known == date and known.tzinfo is date.tzinfo is UTC:
        return row
    row = f"Date: {format_datetime(date)}"
    _dated = date, row
    return row


def check_content_type(text: str) -> str:
    """A media type with its parameters, checked against RFC 2045 5.1; ValueError."""
    if len(text) > 255 or not _CONTENT_TYPE.fullmatch(text):
        raise ValueError(
            "must be type/subtype with parameters as in RFC 2045, at most 255 characters"
        )
    return text


def parameter(name: str, value: str) -> bytes:
    """`; name="value"` on a line of its own, RFC 2231 when not ASCII or long; ValueError."""
    value = clean_value(value)
    if value.isascii() and len(value) <= 60:
        quoted = value.replace("\\", "\\\\").replace('"', '\\"')
        return f';\r\n {name}="{quoted}"'.encode("ascii")
    escaped = [
        chr(octet) if chr(octet).isalnum() and octet < 128 else f"%{octet:02X}"
        for octet in value.encode()
    ]
    pieces = ["".join(escaped[index : index + 18]) for index in range(0, len(escaped), 18)]
    if len(pieces) == 1:
        return f";\r\n {name}*=utf-8''{pieces[0]}".encode("ascii")
    pieces[0] = "utf-8''" + pieces[0]
    return "".join(f";\r\n {name}*{index}*={piece}" for index, piece in enumerate(pieces)).encode(
        "ascii"
    )


def quoted_printable(wire: bytes) -> bytes:
    """Text in wire form (CRLF only) as quoted-printable that relays and mbox files leave alone."""
    coded = binascii.b2a_qp(wire, istext=True)
    if b"\r\n" not in wire:  # then b2a_qp ends its soft lines in LF alone
        coded = coded.replace(b"\n", b"\r\n")
    if b"From " in coded:
        coded = _LINE_FROM.sub(b"=46rom ", coded)
    return coded


_LINE_FROM = re.compile(rb"^From ", re.MULTILINE)


def base64_lines(content: bytes) -> bytes:
    """Base64 in CRLF lines of 76."""
    return base64.encodebytes(content).replace(b"\n", b"\r\n")


def encode_text(wire: bytes) -> tuple[bytes, bytes]:
    """(Content-Transfer-Encoding, body) of a text in wire form.

    7bit for plain ASCII lines within 78 octets that hold nothing a relay would touch nor the `=_`
    of our boundaries, else quoted-printable: a signature must survive the way (RFC 6376 5.3).
    """
    if (
        wire.isascii()
        and b"=_" not in wire
        and b"\0" not in wire
        and b"From " not in wire
        and max(map(len, wire.split(b"\r\n"))) <= LINE + 2
    ):
        return b"7bit", wire
    return b"quoted-printable", quoted_printable(wire)
