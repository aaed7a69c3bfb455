"""Command lines out of the stream of bytes.

Rule: a line ends with CR LF. LF alone ends a line too, but only so that it can be refused whole:
what stands in it is never carried out (RFC 5321 2.3.8).
"""

from __future__ import annotations

from mta.mail import smtp_replies as replies
from mta.mail.reply import Reply
from mta.mail.smtp_commands import LONGEST_LINE


class LineReader:
    """Cuts lines out of a bytearray that its owner fills."""

    def __init__(self) -> None:
        self._skipping = False

    def take(self, data: bytearray) -> bytes | Reply | None:
        """The next line without CR LF, the refusal of one that is none, or None: not all here."""
        end = data.find(b"\n")
        if end < 0:
            if len(data) > LONGEST_LINE:
                self._skipping = True
            if self._skipping:
                data.clear()
            return None
        line = bytes(data[: end + 1])
        del data[: end + 1]
        if self._skipping or len(line) > LONGEST_LINE:
            self._skipping = False
            return replies.LINE_TOO_LONG
        if not line.endswith(b"\r\n") or b"\r" in line[:-2]:
            return replies.BARE_LINE_END
        return line[:-2]
