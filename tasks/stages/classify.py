"""Stage 4: what the replies mean, and what follows."""

from __future__ import annotations

import random
from typing import Any

from mta.delivery.batch import Batch
from mta.delivery.judge import judge
from tasks.app import app


@app.task(name="classify", send_events=False)
def classify(values: dict[str, Any]) -> None:
    """Settle the batch; the deliver worker vouches for it until this is done."""
    judge(Batch.from_json(values), random.Random())
