"""Texts with places for values, cut so that only what values touch is encoded again.

Rule 1: a Part decides between 7bit and quoted-printable as mime.encode_text does for the whole.
        Quoted-printable knows no more than a line, so lines without values are encoded once.
Rule 2: values are printable (str.isprintable) and already escaped where that is due.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from mta.mail.mime import LINE, MAX_VALUE, SHORT, quoted_printable
from mta.mail.template import Plain

_WIDTH = LINE + 2  # of a 7bit line, see mime.encode_text
_PART = "Content-Type: text/{}; charset=utf-8\r\nContent-Transfer-Encoding: {}\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Field:
    """A header field of the Spec and how its value is written; `encode` raises ValueError."""

    name: str
    template: Plain
    encode: Callable[[str], bytes]
    #: "unstructured" (RFC 2047 words are made where needed), "structured" or "addresses".
    kind: str
    #: Written even when its value is empty.
    always: bool = False


class Form:
    """Literals and the places of values, in turn."""

    __slots__ = ("_pick", "literal", "pieces", "slots")

    def __init__(self, pieces: Sequence[str], places: Mapping[str, int]) -> None:
        self.pieces = list(pieces)
        #: How many values.
        self.slots = len(self.pieces) // 2
        #: How many characters stand there whatever the values.
        self.literal = sum(map(len, self.pieces[::2]))
        self._pick = picker([places[name] for name in self.pieces[1::2]])

    def fill(self, values: Sequence[str]) -> str:
        out = self.pieces.copy()
        out[1::2] = self._pick(values)
        return "".join(out)

    def added(self, values: Sequence[str]) -> int:
        """How many characters the values bring."""
        return sum(map(len, self._pick(values)))


class Part:
    """A text part: 7bit as a whole, or quoted-printable line by line."""

    def __init__(self, template: Plain, subtype: str, places: Mapping[str, int]) -> None:
        pieces = template.pieces.copy()
        pieces[::2] = [piece.replace("\n", "\r\n") for piece in pieces[::2]]
        self._whole = Form(pieces, places)
        #: Lines without values, as one text, and the line with values that follows.
        self._lines: list[tuple[str, Form]] = []
        #: What follows the last line with values.
        self._rest = ""
        widest = 0
        for line in _lines(pieces):
            if len(line) == 1:
                self._rest += line[0]
                widest = max(widest, len(line[0].removesuffix("\r\n")))
            else:
                self._lines.append((self._rest, Form(line, places)))
                self._rest = ""
        #: How many characters the values of each line may bring, and the least of it.
        self._rooms = [
            _WIDTH - line.literal + 2 * line.pieces[-1].endswith("\r\n") for _, line in self._lines
        ]
        self._room = min(self._rooms, default=0)
        #: How often one value stands in one line at most.
        self._most = max(
            (max(Counter(line.pieces[1::2]).values()) for _, line in self._lines), default=0
        )
        text = "".join(pieces[::2])
        self._seven = text.isascii() and "\0" not in text and widest <= _WIDTH
        self._seven &= self._room >= 0
        self._seven_opening = _PART.format(subtype, "7bit")
        self._opening = _PART.format(subtype, "quoted-printable").encode("ascii")
        self._quoted: list[bytes] | None = None

    def render(self, values: Sequence[str], length: int) -> bytes:
        """The part with its fields; `length` is that of all values together."""
        if self._seven:
            text = self._whole.fill(values)
            if (
                text.isascii()
                # Single characters first: to look for them costs a tenth.
                and ("_" not in text or "=_" not in text)
                and ("F" not in text or "From " not in text)
                and self._fits(values, length)
            ):
                return (self._seven_opening + text).encode("ascii")
        out = (self._quoted or self._quote()).copy()
        for index, (_, line) in enumerate(self._lines):
            out[2 * index + 1] = quoted_printable(line.fill(values).encode())
        return b"".join(out)

    def _fits(self, values: Sequence[str], length: int) -> bool:
        """Whether no line is wider than 7bit allows."""
        if self._most * length <= self._room:
            return True
        return all(
            line.added(values) <= room
            for (_, line), room in zip(self._lines, self._rooms, strict=True)
        )

    def _quote(self) -> list[bytes]:
        """Lines without values in quoted-printable, which knows no more than a line; else b""."""
        out = []
        for fixed, _ in self._lines:
            out += [quoted_printable(fixed.encode()), b""]
        out.append(quoted_printable(self._rest.encode()))
        out[0] = self._opening + out[0]
        self._quoted = out
        return out


class Row:
    """A header field with values in it."""

    def __init__(self, field: Field, places: Mapping[str, int]) -> None:
        self.form = Form(field.template.pieces, places)
        self.kind = field.kind
        self._field = field
        self._start = f"{field.name}: "
        literal = "".join(self.form.pieces[::2])
        self._plain = field.kind != "addresses" and literal.isprintable()
        self._ascii = literal.isascii()
        self._width = LINE - len(self._start)

    def render(self, values: Sequence[str]) -> str:
        """The field with its CRLF, "" when it is left out; ValueError."""
        text = self.form.fill(values)
        if (
            self._plain
            and text.isascii()
            and len(text) <= self._width
            and text[:1] not in " "  # nor empty
            and text[-1] != " "
            and ("=?" not in text or self.kind == "structured")
        ):
            return f"{self._start}{text}\r\n"
        value = self._field.encode(text).decode()
        return f"{self._start}{value}\r\n" if value or self._field.always else ""

    def cannot_fail(self, values: str) -> bool:
        """Whether `render` succeeds, by what is known of all values joined."""
        if not self._plain:
            return False
        longest = self.form.literal + self.form.slots * len(values)
        if self.kind == "structured":
            return self._ascii and values.isascii() and longest < SHORT
        return longest <= MAX_VALUE


def picker(keys: Sequence[Any]) -> Callable[[Any], Sequence[Any]]:
    """The items of these keys as a sequence, however many they are."""
    if len(keys) > 1:
        return itemgetter(*keys)
    return lambda values: [values[key] for key in keys]


def _lines(pieces: Sequence[str]) -> Iterator[list[str]]:
    """Literals and names of one line each, its CRLF included."""
    line = [""]
    for index, piece in enumerate(pieces):
        if index % 2:
            line += [piece, ""]
            continue
        *closed, rest = piece.split("\r\n")
        for end in closed:
            line[-1] += end + "\r\n"
            yield line
            line = [""]
        line[-1] += rest
    yield line
