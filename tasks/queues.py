"""All queues, and which task goes where. Nobody else names a queue.

Rule 1: each stage before deliver, and classify behind it, has one queue.
Rule 2: a site that is busy or well known has a queue of its own, `deliver.<site>`; all others share
        `deliver.tail-NN`, chosen by hash. The number of both is bounded: a worker's BRPOP carries
        four keys a queue (721 us per task with 1 queue, 1,488 us with 500).
"""

from __future__ import annotations

import hashlib
import re
import time
from typing import Any

from kombu import Exchange, Queue

from mta import wiring

RESOLVE, SIGN, CLASSIFY, UPKEEP = "resolve", "sign", "classify", "upkeep"
DELIVER = "deliver."
#: Sites with a queue of their own at one time.
MOST_SITES = 32
#: Seconds after its last busy batch until a site's queue is given up.
SITE_SECONDS = 3600
SITES_KEY = "mailmill:site-queues"
#: An answer is remembered this long: busy sites ask for every batch.
RECENT_SECONDS = 5.0
MOST_RECENT = 10_000
_recent: dict[tuple[str, bool], tuple[float, str]] = {}


def queue(name: str) -> Queue:
    """A queue by name, bound the one way we bind queues."""
    return Queue(name, Exchange("mailmill", type="direct"), routing_key=name, durable=True)


def tail(number: int) -> str:
    return f"{DELIVER}tail-{number:02d}"


def tails() -> list[str]:
    """The hashed queues of the small sites."""
    return [tail(number) for number in range(wiring.config().tail_queues)]


def declared() -> list[Queue]:
    """What every process knows from the start; queues of sites come and go."""
    return [queue(name) for name in (RESOLVE, SIGN, CLASSIFY, UPKEEP, *tails())]


def site_queue(site: str) -> str:
    """`deliver.<site>` in characters that every tool takes."""
    name = re.sub(r"[^a-z0-9.-]+", "_", site.lower()).strip("_.")[:80]
    return DELIVER + (name or "unnamed")


def tail_queue(site: str) -> str:
    """The shared queue of a small site: always the same one, so that its connections are reused."""
    digest = hashlib.blake2b(site.encode(), digest_size=4).digest()
    return tail(int.from_bytes(digest, "big") % wiring.config().tail_queues)


def queue_for(site: str, *, big: bool) -> str:
    """The deliver queue of a site; a big one gets its own while there is room."""
    asked = (site, big)
    known = _recent.get(asked)
    if known is not None and known[0] > time.monotonic():
        return known[1]
    name = look_up(site, big=big)
    _recent[asked] = (time.monotonic() + RECENT_SECONDS, name)
    if len(_recent) > MOST_RECENT:
        _recent.clear()
    return name


def look_up(site: str, *, big: bool) -> str:
    """The work of `queue_for`: four questions to Redis."""
    client = wiring.redis_client()
    name = site_queue(site)
    if big:
        now = client.time()[0]
        client.zremrangebyscore(SITES_KEY, 0, now - SITE_SECONDS)
        known = client.zscore(SITES_KEY, name) is not None
        if known or client.zcard(SITES_KEY) < MOST_SITES:
            client.zadd(SITES_KEY, {name: now})
            return name
    elif client.zscore(SITES_KEY, name) is not None:
        return name
    return tail_queue(site)


def site_queues() -> list[str]:
    """Queues of single sites that exist now."""
    names = wiring.redis_client().zrange(SITES_KEY, 0, -1)
    return sorted(name.decode() for name in names if isinstance(name, bytes))


def route(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any], options: dict[str, Any],
    task: Any = None, **_: Any,
) -> dict[str, Any] | None:  # fmt: skip
    """Celery's router: the deliver stage goes to the queue that resolve wrote into the batch."""
    stage = name.partition(".")[0]
    if name == "deliver":
        path = args[0]["path"] if args else None
        wanted = path["queue"] if path else ""
        return bound(wanted or tail(0))
    if stage in {RESOLVE, SIGN, CLASSIFY, UPKEEP}:
        return bound(stage)
    return None


def bound(name: str) -> dict[str, Any]:
    """Queue and routing key as options; declared on the fly when it is a site's."""
    return {"queue": queue(name), "routing_key": name}
