"""Upkeep: the safety nets, retention, and the end of warmup days.

But for those days nothing here is needed while everything else works.

A worker runs one task at a time, and this one settles batches: upkeep is done beside it, in a
thread of its own, one piece after the other; a piece that is still waiting is not queued again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from django.utils import timezone

from mta.control import upkeep as orders
from mta.delivery import warmup_days
from mta.spool import claim, inject, retention, upkeep
from mta.storage.transactions import let_go
from tasks.app import app

log = logging.getLogger(__name__)
#: Rows of one deleting transaction, and seconds of one piece: a stop waits for it.
FORGET_ROWS, FORGET_SECONDS = 500, 1.0
BESIDE = ThreadPoolExecutor(1, thread_name_prefix="upkeep")
_waiting: set[str] = set()
_lock = threading.Lock()


def beside(name: str, work: Callable[[], None]) -> None:
    """Have `work` done soon, unless the same is waiting already."""
    with _lock:
        if name in _waiting:
            return
        _waiting.add(name)
    BESIDE.submit(piece, name, work)


def piece(name: str, work: Callable[[], None]) -> None:
    with _lock:
        _waiting.discard(name)
    try:
        work()
    except Exception:  # the next beat tries again
        log.exception("upkeep %s", name)
    finally:
        let_go()


@app.task(name="upkeep.sweep")
def sweep() -> None:
    """Return claims that ended, expire what ran out of time, and wake the dispatcher."""

    def work() -> None:
        claim.return_expired()
        upkeep.expire()
        upkeep.forget_idempotency_keys()
        inject.ring()

    beside("sweep", work)


@app.task(name="upkeep.rearm")
def rearm() -> None:
    """Set every lane's due time from its recipients, should one ever be wrong."""

    def work() -> None:
        upkeep.rearm_all()
        inject.ring()

    beside("rearm", work)


@app.task(name="upkeep.control")
def control() -> None:
    """End suspensions whose time is over; finish what people ordered of mail in flight."""
    beside("control", lambda: log.debug("orders: %d", orders.tick()))


@app.task(name="upkeep.forget")
def forget() -> None:
    """Delete finished mail and old events that are past their time."""
    beside("forget", lambda: log.debug(
        "retention: %d rows", retention.forget(limit=FORGET_ROWS, seconds=FORGET_SECONDS)
    ))  # fmt: skip


@app.task(name="upkeep.warm")
def warm() -> None:
    """Decide about the warmup days that are over; one that is decided is decided."""
    beside("warm", lambda: log.debug("warmup: %d decided", warmup_days.decide_all(timezone.now())))
