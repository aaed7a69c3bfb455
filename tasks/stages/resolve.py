"""Stage 1: where to, by which way, from which source."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from mta.delivery import network
from mta.delivery.batch import Batch
from mta.delivery.route import route
from mta.net.dns import ResolveError, Route
from mta.storage.transactions import let_go
from tasks import queues
from tasks.app import EVENTS, app
from tasks.stages.gather import Gatherer
from tasks.stages.stage import carry_on, in_custody, surprised

Answer = Route | ResolveError


@app.task(name="resolve", send_events=EVENTS)
@in_custody("resolve")
def resolve(batches: Sequence[Batch]) -> list[Batch]:
    """Give each batch its egress path, or the outcomes of those that have none.

    Batches whose domain has to be asked for follow when the answer comes: a name server that is
    slow holds up nobody else's mail.
    """
    waiting: dict[str, list[Batch]] = defaultdict(list)
    for batch in batches:
        waiting[batch.domain].append(batch)

    def on_found(domain: str, answer: Answer) -> None:
        for batch in waiting[domain]:
            ANSWERED.put((batch, answer))

    known = network.look_up(list(waiting), on_found)
    return routed([batch for batch in batches if batch.domain in known], known)


def answered(found: list[tuple[Batch, Answer]]) -> None:
    """Go on with batches whose domain was asked for."""
    batches = [batch for batch, _ in found]
    answers = {batch.domain: answer for batch, answer in found}
    try:
        carry_on("resolve", lambda some: routed(some, answers), batches)
    except Exception:
        surprised([batch.token for batch in batches])
    finally:
        let_go()


ANSWERED: Gatherer[tuple[Batch, Answer]] = Gatherer("answered", answered)


def routed(batches: Sequence[Batch], answers: Mapping[str, Answer]) -> list[Batch]:
    if not batches:
        return []
    return [with_queue(batch) for batch in route(batches, answers, random.Random())]


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
