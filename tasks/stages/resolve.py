"""Stage 1: where to, by which way, from which source."""

from __future__ import annotations

import random
from dataclasses import replace

from mta.delivery import network
from mta.delivery.batch import Batch
from mta.delivery.route import route
from tasks import queues
from tasks.app import EVENTS, app
from tasks.stages.stage import in_custody


@app.task(name="resolve", send_events=EVENTS)
@in_custody(vouch=False)
def resolve(batch: Batch) -> Batch:
    """Give the batch its egress path, or the outcome of those that have none."""
    return with_queue(route(batch, network.route_to(batch.domain), random.Random()))


def with_queue(batch: Batch) -> Batch:
    """The path's Celery queue; a new one is announced to the deliver workers."""
    path = batch.path
    if path is None:
        return batch
    name = queues.queue_for(path.provider or path.site, big=batch.busy)
    if name not in queues.tails():
        subscribe(name)
    return replace(batch, path=replace(path, queue=name))


_subscribed: set[str] = set()


def subscribe(name: str) -> None:
    """Have every deliver worker consume the queue; those that start later look it up."""
    if name not in _subscribed:
        app.control.broadcast(
            "add_consumer", arguments={"queue": name, "exchange": "mailmill", "routing_key": name},
            pattern="deliver*", matcher="glob",  # type: ignore[arg-type]  # the stub lacks the name
        )  # fmt: skip
        _subscribed.add(name)
