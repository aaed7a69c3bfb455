"""What the simulations come to: shares of the limit used, of the attempts deferred, times."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from tests.simulation.receiver import Receiver
from tests.simulation.sender import Sender

#: What does not count: the throttle has this long to find the limit, seconds.
LEARNING = 300.0
HOUR = 3600.0
#: Connections and seconds a message.
WAYS = ((1, 0.01), (5, 0.05), (20, 0.1), (20, 1.0))
LIMITS = (30, 100, 600, 6000)
#: The windows in which full speed has to be seen behind a block, seconds.
BACK_STEP = 30.0


@dataclass(frozen=True, slots=True)
class Figure:
    """One simulated hour behind the first five minutes; shares from 0 to 1."""

    kind: str
    limit: int
    connections: int
    latency: float
    closes: bool
    used: float
    deferred: float
    refused_at_first: int


def simulated(
    receiver: Receiver, ways: tuple[int, float], *, seconds: float, closes: bool = True,
    full: float = 0.0,
) -> Sender:  # fmt: skip
    """A sender that has sent for so long; 100 messages a second are configured, or twice the
    limit."""
    connections, latency = ways
    sender = Sender(
        receiver, random.Random(7), connections=connections, latency=latency, closes=closes,
        full=full or max(100.0, receiver.limit / 30),
    )  # fmt: skip
    sender.run(seconds)
    return sender


def used(receiver: Receiver, begin: float, end: float) -> float:
    """What was taken of what is permitted."""
    count = sum(begin <= at < end for at in receiver.taken)
    return count / (receiver.permitted(begin) * (end - begin) / receiver.window)


def deferred(receiver: Receiver, begin: float, end: float) -> float:
    """What was refused of what was tried."""
    bad = sum(begin <= at < end for at in receiver.refused)
    return bad / max(1, bad + sum(begin <= at < end for at in receiver.taken))


def figures() -> Iterator[Figure]:
    """Every kind of receiver with every way to send that can exceed its limit."""
    for kind in ("fixed", "sliding", "strict"):
        for limit in LIMITS:
            for ways in WAYS:
                if ways[0] / ways[1] > 1.3 * limit / 60:
                    yield from (figure(kind, limit, ways, closes) for closes in (True, False))


def figure(kind: str, limit: int, ways: tuple[int, float], closes: bool) -> Figure:
    receiver = Receiver(limit, kind)
    simulated(receiver, ways, seconds=LEARNING + HOUR, closes=closes)
    return Figure(
        kind, limit, *ways, closes,
        used=used(receiver, LEARNING, LEARNING + HOUR),
        deferred=deferred(receiver, LEARNING, LEARNING + HOUR),
        refused_at_first=sum(at < LEARNING for at in receiver.refused),
    )  # fmt: skip


def back_after(limit: int, begin: float, span: float) -> tuple[float, int]:
    """(seconds from the end of a block to full speed, messages refused during it).

    Full speed: 95 % of the limit over five minutes that begin then.
    """
    end = begin + span
    receiver = Receiver(limit, "sliding", blocks=[(begin, end)])
    simulated(receiver, WAYS[1], seconds=end + HOUR)
    at = end
    while used(receiver, at, at + 300) < 0.95:
        at += BACK_STEP
    return at - end, sum(begin <= one < end for one in receiver.refused)


def found_after(limit: int, raised: int) -> float:
    """Seconds from a change of the limit until 95 % of the new one is used over five minutes."""
    change = 1800.0
    receiver = Receiver(limit, "sliding", changes=[(change, raised)])
    simulated(receiver, WAYS[1], seconds=change + 2 * HOUR)
    at = change
    while used(receiver, at, at + 300) < 0.95:
        at += BACK_STEP
    return at - change
