"""Whom a load is addressed to: numbered readers, each different, at one domain or at many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

DOMAIN = "sink.test"


@dataclass(frozen=True, slots=True)
class Crowd:
    """`count` readers; the tag keeps the loads of one run apart."""

    count: int
    tag: str
    domain: str = DOMAIN
    #: Above 0: the readers take turns at d0.<domain>, d1.<domain> ... up to this many domains.
    spread: int = 0

    def address(self, number: int) -> str:
        """Of reader 1, 2, ..., count."""
        below = f"d{number % self.spread}." if self.spread else ""
        return f"{number}{self.tag}@{below}{self.domain}"

    def __iter__(self) -> Iterator[str]:
        return map(self.address, range(1, self.count + 1))

    def words(self) -> list[str]:
        """As options of the injector."""
        return [
            "--count", str(self.count), "--tag", self.tag, "--domain", self.domain,
            "--spread", str(self.spread),
        ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tally:
    """What the sink says of a crowd: each of its readers is owed one message."""

    taken: int
    lost: int
    doubled: int


def tally(crowd: Crowd, accepted: Mapping[str, int], *, still_waiting: int = 0) -> Tally:
    """Count; `still_waiting` of the crowd are in the spool and not lost."""
    times = Counter({who: accepted[who] for who in crowd if who in accepted})
    return Tally(
        taken=len(times),
        lost=crowd.count - len(times) - still_waiting,
        doubled=times.total() - len(times),
    )
