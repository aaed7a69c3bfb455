"""Stage 2: DKIM."""

from __future__ import annotations

from collections.abc import Sequence

from mta.delivery.batch import Batch
from mta.delivery.seal import seal
from tasks.app import EVENTS, app
from tasks.stages.stage import in_custody


@app.task(name="sign", send_events=EVENTS)
@in_custody("sign")
def sign(batches: Sequence[Batch]) -> list[Batch]:
    """Sign each message with every active key of its sending domain."""
    return seal(batches)
