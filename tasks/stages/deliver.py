"""Stage 3: SMTP. The task starts its batches and ends; each goes on when its own replies are read.

No thread waits for a receiver: batches under way live in the worker's one event loop.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from mta.delivery import network
from mta.delivery.batch import Batch
from tasks import pipeline
from tasks.app import EVENTS, app
from tasks.stages.gather import Gatherer
from tasks.stages.stage import custody, in_custody

log = logging.getLogger(__name__)


@app.task(name="deliver", send_events=EVENTS)
@in_custody("deliver")
def deliver(batches: Sequence[Batch]) -> list[Batch]:
    """Start sending; every reply is in the journal before the next message goes."""
    network.sender().begin(batches, FINISHED.put)
    return []


def pass_on(batches: list[Batch]) -> None:
    """Publish finished batches; what the broker does not take is settled from the journal."""
    tokens = [batch.token for batch in batches]
    try:
        pipeline.pass_on("deliver", batches)
        custody().pass_on(tokens, vouch=True)
    except Exception:
        log.exception("%d batches not passed on; settling them here", len(batches))
        for token in tokens:
            custody().failed(token)


FINISHED: Gatherer[Batch] = Gatherer("forward", pass_on)
