"""The content of a message as it comes in, by DATA or by BDAT.

Rule 1: only CR LF . CR LF ends DATA (RFC 5321 4.1.1.4); only the announced count ends a chunk.
Rule 2: content over the limit is thrown away as it comes, and its end is still found.
Rule 3: the result does not depend on how the bytes were cut into pieces.
"""

from __future__ import annotations

from typing import Final

DOT_END: Final = b"\r\n.\r\n"


class DotContent:
    """Content after DATA: lines up to the dot, one leading dot taken off each (4.5.2)."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        # the reply 354 ended a line, so a dot may be the very first thing that comes
        self._lines = bytearray(b"\r\n")
        self._discarding = False

    @property
    def held(self) -> int:
        """Octets in memory."""
        return len(self._lines)

    def take(self, data: bytearray) -> bytearray | None:
        """Take all of data; when the end was in it return what follows the end, else None."""
        lines = self._lines
        begin = max(0, len(lines) - len(DOT_END) + 1)
        lines += data
        end = lines.find(DOT_END, begin)
        if end >= 0:
            rest = lines[end + len(DOT_END) :]
            del lines[end + 2 :]
            return rest
        # stuffing makes three octets into four at most, so this much is too large for certain
        if self._discarding or len(lines) * 3 > (self._limit + 8) * 4:
            self.discard()
        return None

    def discard(self) -> None:
        """Keep nothing but what is needed to find the end."""
        self._discarding = True
        del self._lines[: -len(DOT_END) + 1]

    def content(self) -> bytes | None:
        """The message; None when it was over the limit."""
        if self._discarding:
            return None
        lines = self._lines
        if b"\r\n." in lines:
            lines = lines.replace(b"\r\n.", b"\r\n")
        if len(lines) - 2 > self._limit:
            return None
        return bytes(memoryview(lines)[2:])


class ChunkContent:
    """Content that comes in BDAT chunks (RFC 3030); no dots are stuffed."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._content = bytearray()
        self._announced = 0
        self._missing = 0
        #: The content is over the limit, or nobody wants it.
        self.discarding = False

    @property
    def held(self) -> int:
        """Octets in memory."""
        return len(self._content)

    def announce(self, size: int) -> None:
        """A chunk of size octets follows."""
        self._missing = size
        self._announced += size
        if self._announced > self._limit:
            self.discard()

    def discard(self) -> None:
        """Keep nothing; go on counting."""
        self.discarding = True
        self._content.clear()

    def take(self, data: bytearray) -> bytearray | None:
        """Take the chunk's octets from data; what follows it when it is complete, else None."""
        if not self.discarding:
            self._content += memoryview(data)[: self._missing]
        if len(data) < self._missing:
            self._missing -= len(data)
            return None
        rest = data[self._missing :]
        self._missing = 0
        return rest

    def content(self) -> bytes | None:
        """The message so far; None when it was over the limit."""
        if self.discarding:
            return None
        # the last line may lack its end, which the relayed copy could not express
        if self._content and not self._content.endswith(b"\r\n"):
            return bytes(self._content) + b"\r\n"
        return bytes(self._content)
