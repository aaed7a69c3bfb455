"""Stage 3: SMTP."""

from __future__ import annotations

from typing import Any

from celery.exceptions import Ignore

from mta.delivery import network
from tasks.app import app
from tasks.stages.stage import custody, taken


@app.task(name="deliver", send_events=False)
def deliver(values: dict[str, Any]) -> dict[str, Any]:
    """Send the batch; every reply is in the journal before the next message goes."""
    batch = taken(values)
    if batch is None:
        raise Ignore
    batch = network.sender().send(batch)
    custody().pass_on(batch.token, vouch=True)
    return batch.to_json()
