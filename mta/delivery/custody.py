"""Custody: a worker answers for the batches it has taken until the database knows their fate.

Rule 1: a batch is journalled before it is worked on, and each reply the moment it is read.
Rule 2: while a batch is open here its claim is renewed; when the claim is gone, so is the custody.
Rule 3: a batch that was handed on and is not settled in time is settled from here: the broker may
        have lost it. Settling twice is harmless.
Rule 4: a worker that starts settles what journals of dead workers tell, and returns the rest.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path as FilePath
from typing import Any

import redis
from django.db import Error as DatabaseError
from django.db import close_old_connections

from mta import wiring
from mta.delivery.batch import Batch, Outcome, outcome_of, outcome_row
from mta.delivery.judge import judge, slots
from mta.limits.egress import Slot
from mta.spool import claim, inject
from mta.spool.journal import Entry, Journal, orphans

log = logging.getLogger(__name__)
#: What a heartbeat survives: the next one comes in seconds.
PASSING = (DatabaseError, redis.RedisError, OSError)


class Custody:
    """The batches in this process's hands; methods may be called from any thread."""

    def __init__(self, folder: FilePath, stage: str, *, claim_seconds: float) -> None:
        self.folder, self.claim_seconds = folder, claim_seconds
        self.journal = Journal(folder, stage)
        #: Further slots to keep alive (open connections), asked at each heartbeat.
        self.leases: Callable[[], list[Slot]] = list
        #: Done after each heartbeat; what it raises of PASSING is tried again at the next.
        self.chore: Callable[[], None] = lambda: None
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.beat, name="custody", daemon=True)

    @property
    def grace(self) -> float:
        """Seconds that the next stage gets before this one settles by itself."""
        return self.claim_seconds / 3

    def start(self) -> None:
        """Deal with what dead workers left, then keep claims alive."""
        recover(self.folder)
        self.thread.start()

    def receive(self, values: dict[str, Any]) -> None:
        """A batch has left the broker and is in this process's memory; signatures can be remade."""
        self.journal.opened(int(values["token"]), {**values, "signatures": ()})

    def take(self, batch: Batch) -> bool:
        """Begin to work on a received batch; False when its claim is gone: leave it alone."""
        if claim.renew([batch.token], seconds=self.claim_seconds):
            return True
        self.journal.closed(batch.token)
        return False

    def reply(self, token: int, outcome: Outcome) -> None:
        """One outcome, the moment it is known."""
        self.journal.reply(token, outcome_row(outcome))

    def pass_on(self, token: int, *, vouch: bool) -> None:
        """The next stage gets the batch; `vouch` keeps it open here until it is settled."""
        if vouch:
            self.journal.handed_on(token)
        else:
            self.journal.closed(token)

    def failed(self, token: int) -> None:
        """Work on the batch ended in an error: the next heartbeat settles what is known of it."""
        self.journal.handed_on(token, at=float("-inf"))

    def beat(self) -> None:
        """Renew, look for settled and for stranded batches, until `stop`."""
        while not self.stopping.wait(min(5.0, self.claim_seconds / 4)):
            try:
                self.heartbeat()
                self.chore()
            except PASSING as error:
                log.warning("heartbeat missed: %s", type(error).__name__)
            finally:
                close_old_connections()

    def heartbeat(self) -> None:
        """One round; see rules 2 and 3."""
        batches = self.journal.open_batches()
        held = claim.renew(list(batches), seconds=self.claim_seconds)
        leases = list(self.leases())
        for token, entry in batches.items():
            if token not in held:
                self.journal.closed(token)
            elif time.monotonic() - entry.handed_on_at > self.grace:
                log.warning("batch %s was not settled in time; settling it here", token)
                settle_entry(token, entry)
                self.journal.closed(token)
            else:
                leases.extend(slots(token, str(entry.batch["domain"])))
        wiring.limits().renew(leases)

    def stop(self, patience: float) -> None:
        """Give the next stage `patience` seconds to settle, then settle and return the rest."""
        self.stopping.set()
        ends = time.monotonic() + patience
        while time.monotonic() < ends and (open_now := self.journal.open_batches()):
            held = claim.renew(list(open_now), seconds=self.claim_seconds)
            for token in open_now.keys() - held.keys():
                self.journal.closed(token)
            self.thread.join(0.1)
        for token, entry in self.journal.open_batches().items():
            settle_entry(token, entry)
            self.journal.closed(token)
        self.journal.close()


def settle_entry(token: int, entry: Entry) -> None:
    """Settle the replies that were read; return the recipients that have none."""
    batch = Batch.from_json(entry.batch)
    outcomes = tuple(outcome_of(row) for row in entry.replies)
    known = batch.decided()
    batch = batch.with_outcomes(*(o for o in outcomes if o.recipient_id not in known))
    if batch.outcomes:
        judge(batch, random.Random())
    if claim.give_back(token):
        inject.ring()


def recover(folder: FilePath) -> int:
    """Deal with the journals of dead workers; returns how many batches they held."""
    count = 0
    for batches in orphans(folder):
        for token, entry in batches.items():
            count += 1
            settle_entry(token, entry)
    if count:
        log.warning("recovered %d batches from journals of workers that died", count)
    return count
