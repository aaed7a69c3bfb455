"""What is used of each limit on a path now, and which rule set it. Nothing is taken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from mta import wiring
from mta.delivery.path_limits import BY_NAME, PathLimits
from mta.limits.egress import Bucket, Counter, Room
from mta.policy.shaping import Explained

#: The first word of a limit's key -> what it counts, and the seconds of its period.
KINDS: Mapping[str, tuple[str, int]] = {
    "rate": ("messages a second", 1),
    "minute": ("messages a minute", 60),
    "hour": ("messages an hour", 3600),
    "day": ("messages a day", 86_400),
    "throttle": ("messages a second that replies allow", 1),
    "warmup-spread": ("messages an hour, the day's warmup spread", 3600),
    "warmup": ("messages today of the warmup", 86_400),
    "quota": ("messages of the tenant's quota", 0),
    "opens": ("new connections a minute", 60),
    "connections": ("open connections", 0),
}


@dataclass(frozen=True, slots=True)
class UseTold:
    """One limit, and what of it is left."""

    #: What it counts, in words.
    what: str
    #: Whom it counts: source and site, source and provider, stream, tenant.
    of: str
    most: float
    #: Messages that may go at once after a rest; None when it is no rate.
    burst: int | None
    #: What may go now.
    free: int
    #: Seconds until the next may; 0 when one may now, or when somebody has to give one back.
    retry_in: float
    #: The rule, or the row of the admin, that set it.
    rule: str


@dataclass(frozen=True, slots=True)
class Whose:
    """Names for the ids in keys, and the reasons for what no shaping rule sets."""

    source: str
    site: str
    provider: str
    stream: str
    tenant: str
    throttle: str = ""


def uses_told(limits: PathLimits, explained: Explained, whose: Whose) -> tuple[UseTold, ...]:
    """All limits of the path, connections first. Raises redis.RedisError."""
    rules = rules_by_key(explained, whose)
    buckets = (*limits.opens, *limits.buckets)
    rooms = wiring.limits().room(
        [([bucket], ()) for bucket in buckets] + [((), [one]) for one in limits.counters]
    )
    found = [connections_told(key, most, rules.get(key, ""), whose) for key, most in limits.slots]
    counted: tuple[Bucket | Counter, ...] = (*buckets, *limits.counters)
    for limit, room in zip(counted, rooms, strict=True):
        found.append(told(limit, room, rules.get(limit.key, ""), whose))
    return tuple(found)


def connections_told(key: str, most: int, rule: str, whose: Whose) -> UseTold:
    """Leases of connections: what others hold is not free."""
    free = max(0, most - wiring.limits().held(key))
    return UseTold(*named(key, whose)[:2], most, None, free, 0.0, rule or whose.throttle)


def told(limit: Bucket | Counter, room: Room, rule: str, whose: Whose) -> UseTold:
    what, of, seconds, owner = named(limit.key, whose)
    free = room.free or 0
    if isinstance(limit, Bucket):
        most = round(limit.per_second * seconds, 6)
        return UseTold(what, of, most, limit.burst, free, room.retry_in, rule or owner)
    return UseTold(what, of, limit.limit, None, free, room.retry_in, rule or owner)


def named(key: str, whose: Whose) -> tuple[str, str, int, str]:
    """(what it counts, whom, seconds of the period, who set it when no shaping rule did)."""
    word, *rest = key.split(":")
    what, seconds = KINDS.get(word, (word, 1))
    owners = {
        "source": f"source {whose.source}",
        "stream": f"stream {whose.stream}",
        "tenant": f"tenant {whose.tenant}",
    }
    if word == "quota":
        return what, owners["tenant"], seconds, owners["tenant"]
    if word in {"warmup", "warmup-spread"}:
        return what, f"{whose.source} to {whose.provider or whose.site}", seconds, "warmup"
    if rest and rest[0] in owners and rest[0] != whose.source:
        return what, owners[rest[0]], seconds, owners[rest[0]]
    to = ":".join(rest[1:])
    where = f"all of {to[1:]}" if to.startswith("@") else to
    return what, f"{whose.source} to {where}", seconds, whose.throttle


def rules_by_key(explained: Explained, whose: Whose) -> dict[str, str]:
    """Which shaping rule set what is counted under a key."""
    return dict(pairs_of(explained, whose))


def pairs_of(explained: Explained, whose: Whose) -> Iterator[tuple[str, str]]:
    here, across = f"{whose.source}:{whose.site}", f"{whose.source}:@{whose.provider}"
    for rate in explained.rates():
        yield f"{BY_NAME[rate.name]}:{across if rate.across else here}", rate.rule
    for name, word in (("connections", "connections"), ("connections_per_minute", "opens")):
        if explained.alone(name):
            yield f"{word}:{here}", explained.origin[name]
        if name in explained.across:
            yield f"{word}:{across}", explained.across[name][1]
