"""Stage 2: DKIM."""

from __future__ import annotations

from typing import Any

from celery.exceptions import Ignore

from mta.delivery.seal import seal
from tasks.app import app
from tasks.stages.stage import custody, taken


@app.task(name="sign", send_events=False)
def sign(values: dict[str, Any]) -> dict[str, Any]:
    """Sign each message of the batch with every active key of its sending domain."""
    batch = taken(values)
    if batch is None:
        raise Ignore
    batch = seal(batch)
    custody().pass_on(batch.token, vouch=False)
    return batch.to_json()
