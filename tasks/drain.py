"""Drain: what is left in the broker's queues when a node stops goes back to the spool.

Rule 1: a message is taken off its queue before anything is done with it, so no worker has it too.
Rule 2: a batch that was on its way to classify carries its replies and is settled; the recipients
        of all others are returned untried.
"""

from __future__ import annotations

import random
from typing import Any

import redis
from kombu import Connection
from kombu.exceptions import OperationalError

from mta.delivery.batch import Batch
from mta.delivery.judge import free, judge
from mta.spool import claim
from tasks import queues
from tasks.app import app


class BrokerAway(Exception):
    """Redis does not answer."""


def drain() -> dict[str, int]:
    """Empty the stages' queues; returns how many batches were settled and how many returned.

    Raises BrokerAway when Redis does not answer.
    """
    try:
        return empty()
    except (OperationalError, redis.RedisError) as error:
        raise BrokerAway(str(error)) from error


def empty() -> dict[str, int]:
    done = {"settled": 0, "returned": 0}
    names = [queues.CLASSIFY, queues.RESOLVE, queues.SIGN, *queues.tails(), *queues.site_queues()]
    with app.connection_for_read() as connection:
        for name in names:
            for convoy in messages(connection, name):
                batches = [Batch.from_json(values) for values in convoy]
                done[settle_or_return(batches, name)] += len(batches)
    return done


def messages(connection: Connection, name: str) -> list[list[dict[str, Any]]]:
    """Convoys in a queue, taken off it."""
    found = []
    channel = connection.channel()
    source = queues.queue(name)(channel)
    while (message := source.get(no_ack=True)) is not None:
        found.append(message.payload[0][0])
    channel.close()  # type: ignore[attr-defined]  # not in the stub
    return found


def settle_or_return(batches: list[Batch], name: str) -> str:
    if name == queues.CLASSIFY:
        judge(batches, random.Random())
        return "settled"
    claim.give_back([batch.token for batch in batches])
    free(batches, [])
    return "returned"
