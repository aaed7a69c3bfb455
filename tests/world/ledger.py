"""What the fake world has accepted, one entry per message and recipient, in order.

Rule 1: an entry is written in the same step that reads the dot, so no kill of a sender can lose it.
Rule 2: nothing is dropped silently: entries are all kept, or (`keep_entries=False`, for
benchmarks) only counted.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple


class Acceptance(NamedTuple):
    #: Counted from 0 since the last reset.
    number: int
    #: Domain of the recipient, lower case.
    domain: str
    recipient: str
    #: Reverse path without angle brackets; "" for the null reverse path.
    sender: str
    #: Address the sender's connection came from, and the address of the peer it reached.
    client_address: str
    mx_address: str
    #: Connection number, counted over the whole world from 1.
    connection: int
    #: Seconds since the epoch at which the dot was read.
    accepted_at: float
    tls: bool
    size: int
    #: Of the content without dot-stuffing.
    sha256: str
    #: The Message-ID field with its angle brackets, "" when there is none.
    message_id: str


def message_id_of(content: bytes) -> str:
    """The Message-ID field of a message; "" when there is none."""
    head = b"\r\n" + content[: content.find(b"\r\n\r\n") + 2]
    at = head.lower().find(b"\r\nmessage-id:")
    if at < 0:
        return ""
    start = head.find(b"<", at)
    end = head.find(b">", start)
    return head[start : end + 1].decode("utf-8", "replace") if 0 <= start < end else ""


class Ledger:
    def __init__(self, *, keep_content: int = 1000, keep_entries: bool = True) -> None:
        self.keep_content = keep_content
        self.keep_entries = keep_entries
        #: Changes when the numbers begin again.
        self.epoch = 0
        self.total = 0
        self.by_domain: Counter[str] = Counter()
        self.entries: list[Acceptance] = []
        self.contents: dict[int, bytes] = {}
        self.grown = asyncio.Event()

    def clear(self) -> None:
        self.epoch += 1
        self.total = 0
        self.by_domain.clear()
        self.entries.clear()
        self.contents.clear()
        self.grown.set()

    def record(
        self,
        recipients: Iterable[tuple[str, str]],
        sender: str,
        seen: tuple[str, str, int, bool],
        content: bytes,
    ) -> None:
        """Write one message down, once for each (domain, recipient).

        `seen` is (client address, MX address, connection number, over TLS).
        """
        if self.keep_entries:
            digest, message_id = hashlib.sha256(content).hexdigest(), message_id_of(content)
        now = time.time()
        client, mx, connection, tls = seen
        for domain, recipient in recipients:
            number = self.total
            self.total += 1
            self.by_domain[domain] += 1
            if number < self.keep_content:
                self.contents[number] = content
            if self.keep_entries:
                self.entries.append(
                    Acceptance(
                        number, domain, recipient, sender, client, mx, connection, now, tls,
                        len(content), digest, message_id,
                    )
                )  # fmt: skip
        self.grown.set()

    async def growth(self, after: int, wait: float) -> None:
        """Return when more than `after` are accepted or `wait` seconds have passed."""
        deadline = time.monotonic() + wait
        while self.total <= after and (left := deadline - time.monotonic()) > 0:
            self.grown.clear()
            try:
                await asyncio.wait_for(self.grown.wait(), left)
            except TimeoutError:
                return
