"""What an egress path may do now: rates, counted caps and leases, kept in Redis for all processes.

Rule 1: one Lua call decides over all limits at once; it grants as much as the tightest allows.
Rule 2: a rate is GCRA: in any window of t seconds at most burst + t * per_second units pass.
Rule 3: all time is Redis's own, in whole microseconds; workers' clocks do not matter.
Rule 4: a lease ends by itself, so a killed worker blocks nobody for longer than its ttl.
Rule 5: losing Redis forgets what was used, never what is owed; the database is the truth.

All keys of a call must live on one server: a Redis Cluster is not supported.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import redis

from mta.limits.scripts import load, text

#: A full counter is asked again after this many seconds at the latest: its ttl is for cleaning up
#: and may be longer than the period that its key names.
LONGEST_WAIT = 60.0
MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Bucket:
    """A rate; ValueError when it lets nothing through."""

    key: str
    per_second: float  #: up to 1,000,000
    burst: int  #: units that may pass at once after a rest

    def __post_init__(self) -> None:
        if not (math.isfinite(self.per_second) and self.per_second > 0 and self.burst >= 1):
            raise ValueError(f"bucket {self.key!r}: per_second must be above 0, burst at least 1")

    @property
    def interval(self) -> int:
        """Microseconds per unit, rounded up: never faster than asked for."""
        # Rounding to a nanosecond first keeps 1e6 / 0.1 from becoming 10000001.
        return max(1, math.ceil(round(MICROSECONDS / self.per_second, 3)))


@dataclass(frozen=True, slots=True)
class Counter:
    """A cap on what is counted under a key, such as a day's messages; the key names the period."""

    key: str
    limit: int  #: 0 lets nothing through
    ttl: int  #: seconds from the first unit to forgetting the count
    ends_at: int = 0  #: when the period that the key names ends, ms; 0: not known

    def __post_init__(self) -> None:
        if self.limit < 0 or self.ttl < 1:
            raise ValueError(f"counter {self.key!r}: limit must not be negative, ttl at least 1 s")


@dataclass(frozen=True, slots=True)
class Slot:
    """One unit of concurrency that a holder leases."""

    key: str
    limit: int  #: leases at once
    holder: str  #: unique; the same holder again renews
    ttl: float  #: seconds until the lease ends by itself

    def __post_init__(self) -> None:
        if self.ttl <= 0:
            raise ValueError(f"slot {self.key!r}: ttl must be above 0 s")


@dataclass(frozen=True, slots=True)
class Grant:
    """What was granted of a wish."""

    granted: int
    retry_in: float  #: seconds until one more may be free; 0 when all was granted
    limited_by: str  #: key of the tightest limit; "" when all was granted


@dataclass(frozen=True, slots=True)
class Room:
    """What limits would grant now."""

    free: int | None  #: units; None when nothing limits
    retry_in: float  #: seconds until one is free; 0 when one is, or nobody knows
    tightest: str  #: key of the limit that grants least; "" when nothing limits


@dataclass(frozen=True, slots=True)
class Level:
    """A bucket that somebody takes from."""

    behind: float  #: seconds until the bucket is full again
    interval: float  #: seconds per unit
    burst: int


Group = tuple[Sequence["Bucket"], Sequence["Counter"]]


class Limits:
    """The limits of all egress paths; safe to share between threads like its client."""

    def __init__(self, client: redis.Redis, prefix: str = "mailmill:") -> None:
        """Keep everything under `prefix`; raises redis.RedisError from any method on trouble."""
        self._client = client
        self._prefix = prefix
        self._take = load(client, "take")
        self._give_back = load(client, "give_back")
        self._acquire = load(client, "acquire")
        self._renew = load(client, "renew")
        self._release = load(client, "release")
        self._held = load(client, "held")
        self._room = load(client, "room")
        self._peek = load(client, "peek")

    def take(
        self, want: int, *, buckets: Sequence[Bucket] = (), counters: Sequence[Counter] = ()
    ) -> Grant:
        """Take up to `want` units from all limits at once; without limits all is granted."""
        keys = [*_keys(buckets), *_keys(counters)]
        if len(set(keys)) != len(keys):
            raise ValueError(f"a limit is named twice in one call: {sorted(keys)}")
        if want <= 0 or not keys:
            return Grant(max(want, 0), 0.0, "")
        args: list[Any] = [want, len(buckets)]
        args += [item for bucket in buckets for item in (bucket.interval, bucket.burst)]
        args += [item for counter in counters for item in (counter.limit, counter.ttl)]
        granted, wait, limiting = self._take(keys=self._names(keys), args=args)
        if not limiting:
            return Grant(int(granted), 0.0, "")
        seconds = int(text(wait)) / MICROSECONDS
        key = keys[int(limiting) - 1]
        if int(limiting) > len(buckets):
            seconds = min(seconds, LONGEST_WAIT)
        return Grant(int(granted), seconds, key)

    def give_back(
        self, count: int, *, buckets: Sequence[Bucket] = (), counters: Sequence[Counter] = ()
    ) -> None:
        """Return `count` granted units that were not used, to the limits they came from."""
        keys = [*_keys(buckets), *_keys(counters)]
        if count <= 0 or not keys:
            return
        args = [count, len(buckets), *(bucket.interval for bucket in buckets)]
        self._give_back(keys=self._names(keys), args=args)

    def room(self, groups: Sequence[Group], *, lead: float = 0.0) -> list[Room]:
        """What each group of limits would grant in `lead` seconds; one call, nothing is taken."""
        keys = [key for group in groups for key in (*_keys(group[0]), *_keys(group[1]))]
        if not keys:
            return [Room(None, 0.0, "")] * len(groups)
        args: list[Any] = [round(lead * MICROSECONDS), len(groups)]
        args += [len(limits) for group in groups for limits in group]
        for buckets, counters in groups:
            args += [item for bucket in buckets for item in (bucket.interval, bucket.burst)]
            args += [item for counter in counters for item in (counter.limit, 0)]
        found, at = [], 0
        for group, (free, wait, tightest) in zip(
            groups, self._room(keys=self._names(keys), args=args), strict=True
        ):
            key = keys[at + int(tightest) - 1] if tightest else ""
            seconds = int(text(wait)) / MICROSECONDS
            found.append(Room(None if int(free) < 0 else int(free), seconds, key))
            at += len(group[0]) + len(group[1])
        return found

    def peek(self, keys: Sequence[str]) -> dict[str, Level]:
        """Look at buckets by their keys; those that are full are absent."""
        if not keys:
            return {}
        found = {}
        for key, value in zip(keys, self._peek(keys=self._names(keys)), strict=True):
            if value:
                behind, interval, burst = map(int, text(value).split())
                found[key] = Level(behind / MICROSECONDS, interval / MICROSECONDS, burst)
        return found

    def acquire(self, slots: Sequence[Slot]) -> str:
        """Lease all slots or none; return "" or the key of the first that is full."""
        return self.acquire_each([slots])[0]

    def acquire_each(self, groups: Sequence[Sequence[Slot]]) -> list[str]:
        """Lease all slots or none of each group, in order; per group "" or the key that is full."""
        slots = [slot for group in groups for slot in group]
        if not slots:
            return [""] * len(groups)
        args = [len(groups), *map(len, groups), *_leases(slots)]
        full = self._acquire(keys=self._names(_keys(slots)), args=args)
        return [
            group[int(index) - 1].key if index else ""
            for group, index in zip(groups, full, strict=True)
        ]

    def renew(self, slots: Sequence[Slot]) -> list[str]:
        """Lengthen leases by their ttl; return the keys of those that others have by now."""
        if not slots:
            return []
        lost = self._renew(keys=self._names(_keys(slots)), args=_leases(slots))
        return [slots[int(index) - 1].key for index in lost]

    def release(self, slots: Sequence[Slot]) -> None:
        """End leases; one that ended by itself is no error."""
        if slots:
            holders = [slot.holder for slot in slots]
            self._release(keys=self._names(_keys(slots)), args=holders)

    def held(self, key: str) -> int:
        """Count the leases of a slot that have not run out."""
        return int(self._held(keys=self._names([key])))

    def names(self, beginning: str) -> list[str]:
        """The keys that begin so, without patterns in it; reads all keys: for people who ask."""
        found = self._client.scan_iter(match=f"{self._prefix}{beginning}*", count=1000)
        return sorted(text(key).removeprefix(self._prefix) for key in found)

    def used(self, counters: Sequence[Counter]) -> list[int]:
        """Read what is counted, in the order given."""
        if not counters:
            return []
        found: Any = self._client.mget(self._names(_keys(counters)))
        return [int(value or 0) for value in found]

    def _names(self, keys: Sequence[str]) -> list[str]:
        return [self._prefix + key for key in keys]


def _keys(limits: Sequence[Bucket] | Sequence[Counter] | Sequence[Slot]) -> list[str]:
    return [limit.key for limit in limits]


def _leases(slots: Sequence[Slot]) -> list[Any]:
    return [
        item
        for slot in slots
        for item in (slot.limit, slot.holder, max(1, round(slot.ttl * MICROSECONDS)))
    ]
