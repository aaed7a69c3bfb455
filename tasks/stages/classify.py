"""Stage 4: what the replies mean, and what follows."""

from __future__ import annotations

import logging
import random
from typing import Any

from django.db import close_old_connections

from mta.delivery.batch import Batch
from mta.delivery.judge import judge
from mta.storage.transactions import let_go
from tasks.app import EVENTS, app

log = logging.getLogger(__name__)


@app.task(name="classify", send_events=EVENTS)
def classify(values: dict[str, Any]) -> None:
    """Settle the batch; the deliver worker vouches for it until this is done."""
    try:
        judge(Batch.from_json(values), random.Random())
    except Exception:
        log.exception("batch %s not settled; the deliver worker will", values.get("token"))
        close_old_connections()
    finally:
        let_go()
