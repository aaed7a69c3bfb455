"""SMTP replies: read from bytes as they come in, kept as code, enhanced status and text.

Rule 1: a reply is `ddd text`, its earlier lines `ddd-text`, all with one code (RFC 5321 4.2).
Rule 2: an enhanced status counts only when its class is that of the code (RFC 2034 4); otherwise
        it stays part of the text.
Rule 3: what a peer sends is bounded and holds no control characters once it is a Reply.
"""

import re
from dataclasses import dataclass, field
from functools import lru_cache

MAX_LINE = 4096  # RFC 5321 4.5.3.1.5 says 512; real servers send more
MAX_LINES = 200
MAX_TEXT = 1000

_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?", re.DOTALL)
_ENHANCED = re.compile(r"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?:[ ]+|$)")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


class ReplyError(ValueError):
    """Bytes that are no SMTP reply; the connection cannot be trusted any more."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered."""

    code: int
    #: "5.1.1", or "" when the server gave none.
    enhanced: str
    #: The lines joined by a space, without code and enhanced status; at most 1000 characters.
    text: str
    #: The same text line by line, for replies whose lines mean something (EHLO).
    lines: tuple[str, ...] = field(default=(), compare=False, repr=False)

    @property
    def is_positive(self) -> bool:
        """2xx or 3xx."""
        return self.code < 400

    @property
    def is_temporary(self) -> bool:
        """4xx."""
        return 400 <= self.code < 500

    @property
    def is_permanent(self) -> bool:
        """5xx."""
        return self.code >= 500

    def __str__(self) -> str:
        return " ".join(part for part in (str(self.code), self.enhanced, self.text) if part)


class ReplyParser:
    """Bytes in, whole replies out; one parser per connection (sans I/O)."""

    __slots__ = ("_buffer", "_code", "_lines")

    def __init__(self) -> None:
        self._buffer = b""
        self._code = b""
        self._lines: list[bytes] = []

    @property
    def is_idle(self) -> bool:
        """Whether no part of an unfinished reply is held."""
        return not self._buffer and not self._lines

    def feed(self, data: bytes) -> list[Reply]:
        """The replies completed by `data`, in order.

        A line may end in LF alone, as some servers do. Raises ReplyError when the bytes cannot be a
        reply or pass the bounds; the parser is of no use after that.
        """
        *lines, self._buffer = (self._buffer + data if self._buffer else data).split(b"\n")
        if len(self._buffer) > MAX_LINE:
            raise ReplyError(f"reply line is longer than {MAX_LINE} octets")
        return [reply for line in lines if (reply := self._take(line)) is not None]

    def _take(self, line: bytes) -> Reply | None:
        if len(line) > MAX_LINE:
            raise ReplyError(f"reply line is longer than {MAX_LINE} octets")
        line = line.removesuffix(b"\r")
        if not self._lines and line[3:4] != b"-":
            return _single(line) if len(line) < 80 else _reply([line])
        code = line[:3]
        if not code.isdigit():
            raise ReplyError(f"not an SMTP reply: {_show(line)}")
        if self._lines and code != self._code:
            raise ReplyError(f"reply changes its code between lines: {_show(line)}")
        self._code = code
        self._lines.append(line)
        if len(self._lines) > MAX_LINES:
            raise ReplyError(f"reply has more than {MAX_LINES} lines")
        if line[3:4] == b"-":
            return None
        lines, self._lines = self._lines, []
        return _reply(lines)


def parse_reply(text: str) -> Reply:
    """One reply as text, single or multi-line: `550-5.1.1 a\\n550 5.1.1 b`; ReplyError."""
    replies = ReplyParser().feed(text.strip("\r\n").encode("utf-8", "replace") + b"\n")
    if len(replies) != 1:
        raise ReplyError("expected exactly one reply")
    return replies[0]


def _reply(raw_lines: list[bytes]) -> Reply:
    enhanced, code, lines = "", 0, []
    for raw in raw_lines:
        match = _LINE.fullmatch(raw)
        if match is None:
            raise ReplyError(f"not an SMTP reply: {_show(raw)}")
        code = int(match[1])
        line = (match[3] or b"").decode("utf-8", "replace")
        if not line.isprintable():
            line = _CONTROL.sub(lambda bad: " " if bad[0] == "\t" else "?", line)
        status = _ENHANCED.match(line)
        if status and line[0] == raw[:1].decode() and enhanced in ("", status[1]):
            enhanced = status[1]
            line = line[status.end() :]
        lines.append(line.strip())
    text = " ".join(line for line in lines if line)[:MAX_TEXT]
    return Reply(code, enhanced, text.rstrip(), tuple(lines))


@lru_cache(maxsize=1024)
def _single(line: bytes) -> Reply:
    """Most replies of a session are the same few short lines."""
    return _reply([line])


def _show(line: bytes) -> str:
    return ascii(line[:60].decode("latin-1"))
