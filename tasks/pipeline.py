"""The main path. Read this file, then the four stages in order.

Each stage takes the batch as JSON and returns it with a little more knowledge; Celery hands it to
the next. What goes wrong on the way costs nothing but time: the claim ends, the batch comes again.
"""

from __future__ import annotations

from collections.abc import Sequence

from celery import chain
from kombu.exceptions import OperationalError

from mta.delivery.batch import Batch
from tasks.app import app
from tasks.stages.classify import classify
from tasks.stages.deliver import deliver
from tasks.stages.resolve import resolve
from tasks.stages.sign import sign


class NotPublished(Exception):
    """The broker did not take the batches; their claims can be given back."""


def start(batches: Sequence[Batch]) -> None:
    """Send batches on their way, all in one round trip to the broker.

    Raises NotPublished; some may have been published all the same, which fencing makes harmless.
    """
    try:
        with app.producer_pool.acquire(block=True) as producer, producer.batch():  # type: ignore[attr-defined]  # newer than the stubs
            for batch in batches:
                # What Flower shows instead of the batch; Celery would print 1 KB of it a stage.
                told = f"{len(batch.recipient_ids)} recipients at {batch.domain}"
                stages = (resolve.s(batch.to_json()), sign.s(), deliver.s(), classify.s())
                for stage in stages:
                    stage.options["argsrepr"] = told
                chain(*stages).apply_async(producer=producer, ignore_result=True)
    except (OperationalError, OSError) as error:
        raise NotPublished(str(error)) from error
