"""Stage 3: SMTP."""

from __future__ import annotations

from mta.delivery import network
from mta.delivery.batch import Batch
from tasks.app import EVENTS, app
from tasks.stages.stage import in_custody


@app.task(name="deliver", send_events=EVENTS)
@in_custody(vouch=True)
def deliver(batch: Batch) -> Batch:
    """Send the batch; every reply is in the journal before the next message goes."""
    return network.sender().send(batch)
