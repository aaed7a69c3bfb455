"""Stage 2: DKIM."""

from __future__ import annotations

from mta.delivery.batch import Batch
from mta.delivery.seal import seal
from tasks.app import EVENTS, app
from tasks.stages.stage import in_custody


@app.task(name="sign", send_events=EVENTS)
@in_custody(vouch=False)
def sign(batch: Batch) -> Batch:
    """Sign each message of the batch with every active key of its sending domain."""
    return seal(batch)
