"""Custody: a worker answers for the batches it has taken until the database knows their fate.

Rule 1: a batch is journalled before it is worked on, and each reply the moment it is read.
Rule 2: while a batch is open here its claim is renewed; when the claim is gone, so is the custody.
        A holder whose renewals fail trusts its own clock: past the claim's end it sends no more.
Rule 3: a batch that was handed on and is not settled in time is settled from here: the broker may
        have lost it. Settling twice is harmless.
Rule 4: a worker that starts settles what journals of dead workers tell, and returns the rest.
Rule 5: the broker's client may publish a batch twice when its connection breaks; the first copy
        that a stage takes is worked on, the second is dropped.
"""

from __future__ import annotations

import logging
import random
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path as FilePath
from typing import Any

import redis
from django.db import Error as DatabaseError
from django.db import close_old_connections

from mta import wiring
from mta.delivery.batch import Batch, Outcome, outcome_of, outcome_row
from mta.delivery.judge import free, judge, slots
from mta.limits.egress import Slot
from mta.spool import claim, inject
from mta.spool.journal import Entry, Journal, orphans
from mta.spool.settle import Summary
from mta.storage.fields import now_ms

log = logging.getLogger(__name__)
#: What a heartbeat survives: the next one comes in seconds.
PASSING = (DatabaseError, redis.RedisError, OSError)
#: A batch that met an error comes again after this many seconds, not at once and for ever.
PAUSE_SECONDS = 15.0


class Custody:
    """The batches in this process's hands; methods may be called from any thread."""

    def __init__(self, folder: FilePath, stage: str, *, claim_seconds: float) -> None:
        self.folder, self.claim_seconds = folder, claim_seconds
        self.stage, self.holder = stage, uuid.uuid4().hex
        self.journal = Journal(folder, stage)
        #: time.monotonic() at which the claims of the batches taken here end, as far as we know.
        self.ends: dict[int, float] = {}
        self.lock = threading.Lock()
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
        """Begin to work on a received batch; False when it is not ours to work on: leave it alone.

        That is when its claim is gone, or when another copy of it was taken already.
        """
        token, left = batch.token, self.left(batch)
        if not left:
            self.drop(token)
            return False
        with self.lock:
            if token in self.ends:
                return False
            self.ends[token] = left
        if wiring.limits().acquire([self.turn(token)]):
            self.drop(token)
            return False
        return True

    def left(self, batch: Batch) -> float:
        """Until when (monotonic) the batch's claim lasts at least; 0 when it is gone.

        A young claim is looked at, not renewed: three durable writes a batch for nothing cost 82 us
        a message and kept the write lock from those who settle. The heartbeat renews it in time.
        """
        begun = time.monotonic()
        age = now_ms() / 1000 - batch.claimed_at / 1000
        if 0 <= age < self.claim_seconds / 2:
            return begun + self.claim_seconds - age if claim.is_held(batch.token) else 0.0
        renewed = claim.renew([batch.token], seconds=self.claim_seconds)
        return begun + self.claim_seconds if renewed else 0.0

    def turn(self, token: int) -> Slot:
        """Who takes this first does this stage's work on the batch."""
        ttl = self.claim_seconds * 1.5
        return Slot(f"taken:{self.stage}:{token}", 1, self.holder, ttl)

    def holds(self, token: int) -> bool:
        """Whether the batch's claim lasts, by our own clock: ask before each message."""
        return time.monotonic() < self.ends.get(token, 0.0)

    def drop(self, token: int) -> None:
        """The batch is none of this process's business any more."""
        with self.lock:
            self.ends.pop(token, None)
        self.journal.closed(token)

    def reply(self, token: int, outcome: Outcome) -> None:
        """One outcome, the moment it is known."""
        self.journal.reply(token, outcome_row(outcome))

    def pass_on(self, token: int, *, vouch: bool) -> None:
        """The next stage gets the batch; `vouch` keeps it open here until it is settled."""
        if vouch:
            self.journal.handed_on(token)
        else:
            self.drop(token)

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
            except Exception:  # without this thread every claim of the process would end
                log.exception("heartbeat missed")
            finally:
                close_old_connections()

    def heartbeat(self) -> None:
        """One round; see rules 2 and 3."""
        begun = time.monotonic()
        batches = self.journal.open_batches()
        held = claim.renew(list(batches), seconds=self.claim_seconds)
        with self.lock:
            self.ends.update(dict.fromkeys(self.ends.keys() & held, begun + self.claim_seconds))
        leases, overdue = list(self.leases()), []
        for token, entry in batches.items():
            if token not in held:
                self.drop(token)
            elif time.monotonic() - entry.handed_on_at > self.grace:
                overdue.append((token, entry))
            else:
                leases.extend(slots(token, str(entry.batch["domain"])))
                leases.extend([self.turn(token)] if token in self.ends else [])
        wiring.limits().renew(leases)
        for token, entry in overdue:
            log.warning("batch %s was not settled in time; settling it here", token)
            self.settle(token, entry)

    def settle(self, token: int, entry: Entry) -> None:
        """Settle from here; on a bug the batch stays, and is tried again at the next heartbeat."""
        try:
            settle_entry(token, entry)
        except PASSING:
            raise
        except Exception:
            log.exception("batch %s cannot be settled", token)
        else:
            self.drop(token)

    def stop(self, patience: float) -> None:
        """Give the next stage `patience` seconds to settle, then settle and return the rest."""
        self.stopping.set()
        ends = time.monotonic() + patience
        while time.monotonic() < ends and (open_now := self.journal.open_batches()):
            held = claim.renew(list(open_now), seconds=self.claim_seconds)
            for token in open_now.keys() - held:
                self.drop(token)
            time.sleep(0.1)
        for token, entry in self.journal.open_batches().items():
            self.settle(token, entry)
        self.journal.close()


def settle_entry(token: int, entry: Entry) -> None:
    """Settle the replies that were read; return the recipients that have none."""
    failed = entry.handed_on_at == float("-inf")
    batch = readable(entry)
    if batch is None:
        log.error("batch %s is of another version; its recipients go back untried", token)
    elif batch.outcomes:
        judge(batch, random.Random())
    else:
        free(batch, Summary(0))
    due = now_ms() + round(PAUSE_SECONDS * 1000) if failed else None
    reason = "an error stopped the last try; the worker's log tells it" if failed else ""
    if claim.give_back(token, at=due, reason=reason):
        inject.ring()


def readable(entry: Entry) -> Batch | None:
    """The batch with all its replies; None when a worker of another version wrote it."""
    try:
        batch = Batch.from_json(entry.batch)
        outcomes = [outcome_of(row) for row in entry.replies]
    except (ValueError, TypeError, KeyError):
        return None
    known = batch.decided()
    return batch.with_outcomes(*(o for o in outcomes if o.recipient_id not in known))


def recover(folder: FilePath) -> int:
    """Deal with the journals of dead workers; returns how many batches they held."""
    count = 0
    for batches in orphans(folder):
        for token, entry in list(batches.items()):
            count += 1
            try:
                settle_entry(token, entry)
            except PASSING:
                raise
            except Exception:  # it stays in its file; the others must not wait for it
                log.exception("batch %s cannot be settled", token)
            else:
                del batches[token]
    if count:
        log.warning("recovered %d batches from journals of workers that died", count)
    return count
