"""The main path. Read this file, then the four stages in order.

Rule 1: what travels is a convoy: a list of batches. What a hop costs is shared by all of them.
Rule 2: each stage works on the list with a little more knowledge and sends it to the next; at
        deliver the convoys part by site, behind it finished batches form new ones.
Rule 3: what goes wrong on the way costs nothing but time: the claim ends, the batch comes again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import redis
from kombu.exceptions import OperationalError

from mta.delivery.batch import Batch
from tasks import queues
from tasks.app import app

#: Which stage comes behind which.
NEXT = {"resolve": "sign", "sign": "deliver", "deliver": "classify"}


class NotPublished(Exception):
    """The broker did not take the batches; their claims can be given back."""


def start(convoys: Iterable[Sequence[Batch]]) -> None:
    """Send convoys on their way, all in one round trip to the broker.

    Raises NotPublished; some may have been published all the same, which fencing makes harmless.
    """
    send("resolve", convoys)


def pass_on(stage: str, batches: Sequence[Batch]) -> None:
    """Send what `stage` has done to the next one; NotPublished."""
    following = NEXT[stage]
    if following != "deliver":
        send(following, [batches])
        return
    by_queue: dict[str, list[Batch]] = defaultdict(list)
    for batch in batches:
        by_queue[queues.of_batch(batch)].append(batch)
    send(following, by_queue.values())


def send(stage: str, convoys: Iterable[Sequence[Batch]]) -> None:
    """Publish one task a convoy."""
    try:
        with app.producer_pool.acquire(block=True) as producer, producer.batch():  # type: ignore[attr-defined]  # newer than the stubs
            for convoy in convoys:
                app.send_task(
                    stage,
                    args=([batch.to_json() for batch in convoy],),
                    argsrepr=told(convoy),
                    producer=producer,
                    ignore_result=True,
                    priority=queues.priority(convoy),
                    **queues.bound(queues.of_batch(convoy[0]) if stage == "deliver" else stage),
                )
    except (OperationalError, redis.RedisError, OSError) as error:
        raise NotPublished(str(error)) from error


def told(convoy: Sequence[Batch]) -> str:
    """What Flower shows instead of the convoy; Celery would print 1 KB of it a stage."""
    domains = sorted({batch.domain for batch in convoy})
    more = f" and {len(domains) - 3} more" if len(domains) > 3 else ""
    count = sum(len(batch.recipient_ids) for batch in convoy)
    return f"{count} recipients in {len(convoy)} batches: {', '.join(domains[:3])}{more}"
