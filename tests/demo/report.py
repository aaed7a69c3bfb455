"""The tables of the demo, as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from textwrap import shorten

from tests.demo.cast import SOURCES, WARMING, WARMUP_CAP
from tests.demo.outcome import Line, expected_words
from tests.world.ledger import Acceptance

#: Faults shown per role.
SHOWN = 3


def outcomes(lines: Sequence[Line]) -> str:
    """Expected against actual per role, the faults below."""
    rows = [("receiver", "what it does", "expected", "actual", "attempts", "")]
    for line in lines:
        rows.append(
            (
                line.role.domain,
                shorten(line.role.story, 50, placeholder=" ..."),
                f"{line.expected} {expected_words(line.role)}",
                ", ".join(f"{count} {words}" for words, count in line.actual),
                f"{line.attempts:.1f}",
                "NO" if line.faults else "ok",
            )
        )
    faults = [f"  {fault}" for line in lines for fault in shortened(line.faults, line.role.domain)]
    return "\n".join([*table(rows), *(["", "Not as expected:", *faults] if faults else [])])


def shortened(faults: Sequence[str], domain: str) -> list[str]:
    more = len(faults) - SHOWN
    return [*faults[:SHOWN], *([f"... and {more} more of {domain}"] if more > 0 else [])]


def sources(accepted: Iterable[Acceptance]) -> str:
    """Which source sent how much, and how far the warming one was held back per receiver."""
    sent = Counter(one.client_address for one in accepted)
    rows = [("pool", "source", "address", "accepted", "most to one receiver", "")]
    for pool, name, address in SOURCES:
        note = f"warming: cap of {WARMUP_CAP} a day per receiver" if name == WARMING else ""
        most = most_to_one_receiver(accepted, address)
        rows.append((pool, name, address, str(sent[address]), str(most), note))
    for address in sorted(set(sent) - {address for _, _, address in SOURCES}):
        rows.append(("", "(any)", address, str(sent[address]), "", "from no source of a pool"))
    return "\n".join(table(rows))


def most_to_one_receiver(accepted: Iterable[Acceptance], address: str) -> int:
    per_receiver = Counter(one.domain for one in accepted if one.client_address == address)
    return max(per_receiver.values(), default=0)


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return [lines[0], "  ".join("-" * width for width in widths), *lines[1:]]
