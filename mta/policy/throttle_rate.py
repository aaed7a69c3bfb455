"""The rate of one throttled egress path: how it falls, stops, tries, returns and looks for more.

Rule 1: the ceiling is what the receiver was seen to take: the messages accepted within the last
        minute when it said "too many", or the average of the whole cycle when that is more.
Rule 2: a refusal ends the round: nothing goes for a pause, then one message tries. The pause
        doubles until a try is taken, so it learns how long the receiver's window still runs.
Rule 3: behind a short stop the rate goes on a little below the ceiling; behind a long one it comes
        back by doubling.
Rule 4: it stays near the ceiling for minutes, then grows ever faster (as CUBIC does, RFC 9438):
        a round has one refusal, so looking for more costs little, and more is found soon.
Rule 5: above the ceiling the rate grows only while it is used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

#: Messages a second that stand for "no limit configured".
UNLIMITED = 1000.0
#: The slowest rate, messages a second.
SLOWEST = 1 / 60
#: Behind a refusal the rate is this share of the ceiling.
BELOW = 0.97
#: Milliseconds from there up to the ceiling.
PLATEAU_MS = 180_000
#: Milliseconds in which the rate doubles on its way back.
DOUBLING_MS = 20_000
#: A stop of this length is a block or a long window: the rate comes back gradually.
LONG_STOP_MS = 90_000
#: How much lower than the ceiling it begins then.
SOFT_START = 32
FIRST_PAUSE_MS, LONGEST_PAUSE_MS = 1_000, 300_000
#: Accepted messages are counted in steps of this length, for one minute.
COUNT_MS, MINUTE_MS = 5_000, 60_000
#: Share of the rate that must be used for it to grow above the ceiling.
USED = 0.7

Counts = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast one path may go; instants and spans in milliseconds, rates in messages/s."""

    #: What is configured; UNLIMITED where nothing is.
    full: float
    #: What the receiver was seen to take; 0 while that is not known.
    ceiling: float
    #: The rate at which the way back began.
    base: float
    #: Time of growth since then.
    clock: int
    stepped_at: int
    #: The last refusal that began a pause, and the pause.
    refused_at: int = 0
    pause: int = 0
    until: int = 0
    #: Nothing was accepted since the pause began: one message may try.
    trying: bool = False
    #: A cycle goes from one successful try to the next.
    cycle_at: int = 0
    accepted: int = 0
    #: Average rate of the cycle before, when it ended in a long stop.
    long_average: float = 0.0
    counts: Counts = ()

    def returning_ms(self) -> float:
        """How long the way back to just below the ceiling takes."""
        goal = BELOW * self.ceiling if self.ceiling else self.full
        return DOUBLING_MS * math.log2(goal / self.base) if goal > self.base else 0.0

    def per_second(self) -> float:
        """The rate at the present clock."""
        returning = self.returning_ms()
        if self.clock < returning:
            return min(self.full, self.base * 2 ** (self.clock / DOUBLING_MS))
        if not self.ceiling:
            return self.full
        turn = (self.clock - returning) / PLATEAU_MS - 1
        return min(self.full, self.ceiling * (1 + (1 - BELOW) * turn**3))

    def last_minute(self, now: int) -> float:
        """Messages accepted within the last minute; a step that it cuts counts in part."""
        begin = now - MINUTE_MS
        return sum(
            count * min(1.0, (at + COUNT_MS - begin) / COUNT_MS)
            for at, count in self.counts
            if at + COUNT_MS > begin
        )


def advance(rate: Rate, now: int) -> Rate:
    """The rate as time alone makes it; it stands still while the path is stopped."""
    span = now - rate.stepped_at
    if span <= 0:
        return rate
    if rate.trying:
        return replace(rate, stepped_at=now)
    freely = max(0, math.ceil(rate.returning_ms()) + PLATEAU_MS - rate.clock)
    used = rate.last_minute(now) >= USED * rate.per_second() * MINUTE_MS / 1000
    if not used and rate.ceiling:
        span = min(span, freely)
    return replace(rate, clock=rate.clock + span, stepped_at=now)


def begun(full: float, counts: Counts, now: int) -> Rate:
    """The rate at the first refusal of a path that had none; `counts` are of the last minute."""
    limit = full or UNLIMITED
    earliest = min((at for at, _ in counts), default=now)
    return Rate(
        full=limit, ceiling=0.0, base=limit, clock=0, stepped_at=now,
        cycle_at=earliest, accepted=sum(count for _, count in counts), counts=counts,
    )  # fmt: skip


def returned(full: float, base: float, now: int) -> Rate:
    """The way back from `base` to all that is configured, nothing known of a ceiling."""
    limit = full or UNLIMITED
    return Rate(limit, 0.0, min(max(base, SLOWEST), limit), 0, now, cycle_at=now)


def accepted(rate: Rate, counts: Counts, now: int) -> Rate:
    """The receiver took messages; `counts` are (instant, how many)."""
    rate = advance(rate, now)
    taken = sum(count for _, count in counts)
    rate = replace(rate, counts=merged(rate.counts, counts, now), accepted=rate.accepted + taken)
    if taken and rate.trying and now >= rate.until:
        return recovered(rate, taken, now)
    return rate


def recovered(rate: Rate, taken: int, now: int) -> Rate:
    """A try was taken: the cycle ends, and its average may correct the ceiling."""
    stop = now - rate.refused_at
    average = 1000 * (rate.accepted - taken) / max(now - rate.cycle_at, 1000)
    ceiling = max(rate.ceiling, average)
    long_average = 0.0
    if stop >= LONG_STOP_MS:
        # One long stop may be a block that has nothing to do with the rate; two in a row are the
        # rest of a long window, and what it let through on average is the ceiling.
        if rate.long_average:
            ceiling = max(rate.long_average, average, SLOWEST)
        long_average = average
    base = BELOW * ceiling
    if stop >= LONG_STOP_MS:
        base /= SOFT_START
    return replace(
        rate, ceiling=ceiling, base=max(base, SLOWEST), clock=0, trying=False, pause=0, until=0,
        cycle_at=now, accepted=taken, long_average=long_average,
    )  # fmt: skip


def refused(rate: Rate, now: int) -> Rate:
    """The receiver said that it was too much."""
    rate = advance(rate, now)
    if now < rate.until:  # under way when the round ended
        return estimated(rate, now) if rate.pause <= FIRST_PAUSE_MS else rate
    if rate.trying:
        pause = min(2 * rate.pause, LONGEST_PAUSE_MS)
        return replace(rate, pause=pause, until=now + pause)
    pause = FIRST_PAUSE_MS
    return replace(
        estimated(rate, now), refused_at=now, pause=pause, until=now + pause, trying=True
    )


def estimated(rate: Rate, now: int) -> Rate:
    """With the ceiling that the last minute shows."""
    seen = rate.last_minute(now) * 1000 / MINUTE_MS
    ceiling = min(max(seen, SLOWEST), rate.full)
    return replace(rate, ceiling=ceiling, base=max(BELOW * ceiling, SLOWEST), clock=0)


def merged(counts: Counts, more: Counts, now: int) -> Counts:
    """Both counts in steps of COUNT_MS, without what is older than a minute."""
    found: dict[int, int] = {}
    for at, count in (*counts, *more):
        step = at - at % COUNT_MS
        if at > now - MINUTE_MS - COUNT_MS:
            found[step] = found.get(step, 0) + count
    return tuple(sorted(found.items()))
