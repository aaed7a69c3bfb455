"""A Spec of plain templates, cast: what no recipient changes is encoded once, beforehand.

Rule 1: a mould gives the very bytes that compose.py makes in full, or None: then compose.py makes
        them, and finds what is wrong if anything is. Nothing is refused or repaired here.
Rule 2: its values are short and printable: no line ends, no lists, no Markup.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from markupsafe import escape

from mta.mail.address import MAX_ADDRESS, MAX_LOCAL, AddressError, parse_address, parse_mailbox
from mta.mail.forms import Field, Part, Row, picker
from mta.mail.mime import date_row, mailbox
from mta.mail.sandbox import MAX_TEXT
from mta.mail.template import Plain

#: Characters of all values of a recipient together.
MAX_VALUES = 4_000
#: Octets that one character of a value, or of a literal, can come to, soft line ends included: four
#: octets of UTF-8 as `=XX`.
_WORST = 13
#: Octets of the fields that are not the Spec's.
_MARGIN = 2_500

SEED, TEXT, HTML = b"\0S\0", b"\0T\0", b"\0H\0"
_MARK = re.compile(b"\0([STH])\0")
_MARKED = {b"S": 1, b"T": 2, b"H": 3}

MESSAGE_ID = re.compile(r"[!-;=?-~]{1,900}")
_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_SPECIAL = re.compile("[&<>'\"]")


class Unfit(Exception):
    """A Spec with a fixed text that is wrong."""


class Mould:
    """See above; safe to share between threads."""

    def __init__(
        self,
        sender: bytes,
        fields: Sequence[Field],
        text: Plain | None,
        html: Plain | None,
        content: bytes,
    ) -> None:
        """Raises Unfit.

        `sender` is From with what goes along, `content` the body's structure from Content-Type on,
        with SEED, TEXT and HTML where the seed of the boundaries and the parts belong.
        """
        templates = [field.template for field in fields]
        templates += [part for part in (text, html) if part is not None]
        names = dict.fromkeys(name for template in templates for name in template.pieces[1::2])
        places = {name: index for index, name in enumerate(names)}
        try:
            self._pick = picker(list(names))
            self._sender = sender.decode() + "\r\n"
            self._rows = _merged(_row(field, places) for field in fields)
            self._text = None if text is None else Part(text, "plain", places)
            self._html = None if html is None else Part(html, "html", places)
            literal = sum(len(piece.encode()) for one in templates for piece in one.pieces[::2])
        except ValueError:  # a fixed value that is wrong, half a character
            raise Unfit from None
        self._slots = sum(len(template.pieces) // 2 for template in templates)
        self._bound = _MARGIN + len(sender) + len(content) + _WORST * literal
        # No text passes MAX_TEXT even if each place held all values, escaped (`&amp;`).
        self._cap = min(MAX_VALUES, (MAX_TEXT - literal) // (5 * self._slots + 1))
        pieces: list[Any] = _MARK.split(content)
        self._slotted = [b"", b"", *pieces]
        self._content = picker([0, *(_MARKED[mark] for mark in pieces[1::2])])
        self._seeded = b"S" in pieces[1::2]

    def render(
        self, to: str, substitutions: Mapping[str, Any], date: datetime, message_id: str
    ) -> bytes | None:
        """The message in wire form, or None: ask compose.py."""
        given = self._values(substitutions)
        if given is None or not MESSAGE_ID.fullmatch(message_id):
            return None
        values, joined = given
        try:
            rows = [row if isinstance(row, str) else row.render(values) for row in self._rows]
            to_row = f"To: {to}" if _is_plain(to) else _to_row(to)
        except ValueError:
            return None
        head = (
            f"{date_row(date)}\r\nMessage-ID: <{message_id}>\r\n{self._sender}{to_row}\r\n"
            f"{''.join(rows)}MIME-Version: 1.0\r\n"
        )
        parts = [head.encode(), b"", b"", b""]
        if self._seeded:
            parts[1] = blake2b(message_id.encode(), digest_size=12).hexdigest().encode("ascii")
        length = len(joined)
        if self._text is not None:
            parts[2] = self._text.render(values, length)
        if self._html is not None:
            if _SPECIAL.search(joined):
                values = [str(escape(value)) for value in values]
                length = sum(map(len, values))
            parts[3] = self._html.render(values, length)
        out = self._slotted.copy()
        out[1::2] = self._content(parts)
        message = b"".join(out)
        return message if message.endswith(b"\r\n") else message + b"\r\n"

    def bound(self, substitutions: Mapping[str, Any]) -> int | None:
        """More octets than the message can have, when it can be rendered; None: ask compose.py."""
        given = self._values(substitutions)
        if given is None:
            return None
        values, joined = given
        try:
            for row in self._rows:
                if isinstance(row, Row) and not row.cannot_fail(joined):
                    row.render(values)
        except ValueError:
            return None
        return self._bound + _WORST * self._slots * len(joined)

    def _values(self, substitutions: Mapping[str, Any]) -> tuple[Sequence[str], str] | None:
        """(the values in the order of their places, the same joined); None for any odd one."""
        try:
            values = self._pick(substitutions)
            for value in values:
                if type(value) is not str:
                    values = [_printed(each) for each in values]
                    break
        except (KeyError, TypeError, ValueError):
            return None
        joined = "".join(values)
        return (values, joined) if len(joined) <= self._cap and joined.isprintable() else None


def _printed(value: Any) -> str:
    """As the templates print it; TypeError for what they may not, or not so simply."""
    if value is None:
        return ""
    if type(value) in (str, int, float, bool):
        return str(value)
    raise TypeError


def _row(field: Field, places: Mapping[str, int]) -> "str | Row":
    """ValueError when it has no values and is wrong."""
    row = Row(field, places)
    return row if row.form.slots else row.render(())


def _merged(rows: "Iterator[str | Row]") -> "list[str | Row]":
    out: list[str | Row] = []
    for row in rows:
        if isinstance(row, str) and out and isinstance(out[-1], str):
            out[-1] += row
        else:
            out.append(row)
    return out


def _is_plain(to: str) -> bool:
    """Whether `to` is an address already in the form in which it is written."""
    local, _, domain = to.rpartition("@")
    return (
        len(local) <= MAX_LOCAL
        and len(to) <= MAX_ADDRESS
        and bool(_LOCAL.fullmatch(local))
        and _is_normal(domain)
    )


@lru_cache(maxsize=8192)
def _is_normal(domain: str) -> bool:
    try:
        return domain.isascii() and parse_address(f"x@{domain}").domain == domain
    except AddressError:
        return False


def _to_row(to: str) -> str:
    return "To: " + mailbox(*parse_mailbox(to), column=4).decode()
