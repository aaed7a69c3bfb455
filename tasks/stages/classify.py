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
def classify(convoy: list[dict[str, Any]]) -> None:
    """Settle the batches; the deliver worker vouches for them until this is done."""
    try:
        judge([Batch.from_json(values) for values in convoy], random.Random())
    except Exception:
        tokens = [values.get("token") for values in convoy]
        log.exception("batches %s not all settled; the deliver worker will", tokens)
        close_old_connections()
    finally:
        let_go()
