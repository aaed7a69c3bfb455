"""What besides its rate replies change on an egress path: connections, blocks, death, automations.

Rule 1: everything here has an end, and ends gradually.
Rule 2: a receiver that blocks the source is left alone for half an hour, then for longer each time,
        and asked with one message then.
Rule 3: a site that cannot be reached is dead behind a few failures in a row; one connection asks at
        growing intervals, the first answer brings it to life.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

#: "Too many connections" leaves this share of those that were open.
FEWER = 0.7
#: Such replies within this span are one.
ROUND_MS = 5_000
#: One more connection is tried after this long, and after twice as long when it was one too many.
MORE_MS, LONGEST_MORE_MS = 180_000, 3_600_000
#: Block replies in a row, with nothing accepted between them, that make a block.
STRIKES = 3
FIRST_BLOCK_MS, LONGEST_BLOCK_MS = 1_800_000, 14_400_000
#: Failures in a row that make a site dead.
DEAD_AFTER = 3
FIRST_PROBE_MS, LONGEST_PROBE_MS = 30_000, 600_000


@dataclass(frozen=True, slots=True)
class Crowd:
    """How many connections a receiver bears; instants and spans in ms."""

    full: int
    most: int
    lowered_at: int
    more_ms: int = MORE_MS

    def connections(self, now: int) -> int:
        """Most connections now."""
        return min(self.full, self.most + max(0, now - self.lowered_at) // self.more_ms)

    def over_at(self) -> int:
        """When all that are configured may be open again."""
        return self.lowered_at + (self.full - self.most) * self.more_ms


def crowded(crowd: Crowd | None, full: int, open_now: int, now: int) -> Crowd:
    """The receiver said that there are too many; `open_now` of `full` were open."""
    if crowd is None:
        found = max(1, int(FEWER * max(1, min(full, open_now))))
        return Crowd(max(full, found), found, now)
    if now - crowd.lowered_at < ROUND_MS:
        return crowd
    current = crowd.connections(now)
    if current > crowd.most:  # the look for one more found where it ends
        longer = min(2 * crowd.more_ms, LONGEST_MORE_MS)
        return replace(crowd, most=current - 1, lowered_at=now, more_ms=longer)
    return replace(crowd, most=max(1, int(FEWER * current)), lowered_at=now, more_ms=MORE_MS)


@dataclass(frozen=True, slots=True)
class Block:
    """The receiver wants nothing from this source, or has begun to say so."""

    strikes: int = 0
    #: How often it blocked; 0 while the strikes are too few.
    level: int = 0
    until: int = 0


def blocked(block: Block | None, *, at_once: bool, level_before: int, now: int) -> Block:
    """A block reply came; `level_before` is remembered of earlier blocks."""
    block = block or Block()
    if now < block.until:
        return block
    strikes = block.strikes + 1
    if not (at_once or block.level or strikes >= STRIKES):
        return replace(block, strikes=strikes)
    level = max(block.level, level_before) + 1
    span = min(FIRST_BLOCK_MS * 2 ** (level - 1), LONGEST_BLOCK_MS)
    return Block(strikes, level, now + span)


@dataclass(frozen=True, slots=True)
class Death:
    """A site that does not answer, or has begun not to."""

    failures: int = 0
    pause: int = 0
    until: int = 0

    @property
    def certain(self) -> bool:
        return self.failures >= DEAD_AFTER


def unreachable(death: Death | None, now: int) -> Death:
    """No host of the site could be reached."""
    death = death or Death()
    if now < death.until:
        return death
    death = replace(death, failures=death.failures + 1)
    if not death.certain:
        return death
    pause = min(2 * death.pause, LONGEST_PROBE_MS) if death.pause else FIRST_PROBE_MS
    return replace(death, pause=pause, until=now + pause)


@dataclass(frozen=True, slots=True)
class Hold:
    """What an automation orders until an instant (ms); 0: nothing about that."""

    rule: str
    action: str
    until: int
    reason: str
    #: Messages a second.
    rate: float = 0.0
    connections: int = 0
    messages_per_connection: int = 0

    @property
    def stops(self) -> bool:
        return self.action in {"suspend", "switch_source"}
