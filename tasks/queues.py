"""All queues, and which task goes where. Nobody else names a queue.

Rule 1: each stage before deliver, and classify behind it, has one queue.
Rule 2: transactional mail goes before bulk mail in each queue, by Celery's priorities; between them
        goes bulk of tenants that send little: a hundred thousand of others are not before it.
Rule 3: a site that is busy or well known has a queue of its own, `deliver.<site>`; all others share
        `deliver.tail-NN`, chosen by hash. The number of both is bounded: a worker's BRPOP carries
        four keys a queue (721 us per task with 1 queue, 1,488 us with 500).
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Sequence
from typing import Any

from kombu import Exchange, Queue

from mta import wiring
from mta.delivery.batch import Batch

RESOLVE, SIGN, CLASSIFY, UPKEEP = "resolve", "sign", "classify", "upkeep"
DELIVER = "deliver."
#: Of kombu's four steps 0, 3, 6 and 9: what has none (upkeep, control) is as urgent as can be.
URGENT, LIGHT, BULK = 0, 3, 6
#: Sites with a queue of their own at one time.
MOST_SITES = 32
#: Seconds after its last busy batch until a site's queue is given up.
SITE_SECONDS = 3600
SITES_KEY = "mailmill:site-queues"
#: The list of them is read anew after this, and a busy site asks again after this, seconds.
RECENT_SECONDS, RENEW_SECONDS = 2.0, 60.0
_known: dict[str, float] = {}
_known_at = [float("-inf")]


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
    name = site_queue(site)
    known = known_queues()
    stale = known.get(name, float("-inf")) < time.monotonic() - RENEW_SECONDS
    if big and stale and (name in known or len(known) < MOST_SITES):
        return ask_for_queue(name) or tail_queue(site)
    return name if name in known else tail_queue(site)


def known_queues() -> dict[str, float]:
    """Queues of single sites by when this process last asked for them; RECENT_SECONDS old."""
    if time.monotonic() - _known_at[0] > RECENT_SECONDS:
        _known_at[0] = time.monotonic()
        for name in _known.keys() - (found := set(site_queues())):
            del _known[name]
        for name in found:
            _known.setdefault(name, float("-inf"))
    return _known


def ask_for_queue(name: str) -> str:
    """Have the queue of a busy site for another SITE_SECONDS; "" when there is no room."""
    client = wiring.redis_client()
    now = client.time()[0]
    client.zremrangebyscore(SITES_KEY, 0, now - SITE_SECONDS)
    if client.zscore(SITES_KEY, name) is None and client.zcard(SITES_KEY) >= MOST_SITES:
        return ""
    client.zadd(SITES_KEY, {name: now})
    _known[name] = time.monotonic()
    return name


def of_batch(batch: Batch) -> str:
    """The deliver queue that resolve wrote into the batch."""
    return (batch.path.queue if batch.path else "") or tail(0)


def site_queues() -> list[str]:
    """Queues of single sites that exist now."""
    names = wiring.redis_client().zrange(SITES_KEY, 0, -1)
    return sorted(name.decode() for name in names if isinstance(name, bytes))


def route(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any], options: dict[str, Any],
    task: Any = None, **_: Any,
) -> dict[str, Any] | None:  # fmt: skip
    """Celery's router for what names no queue itself: upkeep, and a stage sent by hand."""
    stage = name.partition(".")[0]
    return bound(stage) if stage in {RESOLVE, SIGN, CLASSIFY, UPKEEP} else None


def priority(convoy: Sequence[Batch]) -> int:
    """Celery's priority: a worker takes urgent convoys first. 0 goes before 9 on Redis."""
    if any(batch.urgent for batch in convoy):
        return URGENT
    return LIGHT if any(batch.light for batch in convoy) else BULK


def bound(name: str) -> dict[str, Any]:
    """Queue and routing key as options; declared on the fly when it is a site's."""
    return {"queue": queue(name), "routing_key": name}
