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
from collections.abc import Callable, Iterable, Sequence
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

    def receive(self, convoy: Sequence[dict[str, Any]]) -> None:
        """Batches have left the broker and are in memory here; signatures can be made again."""
        self.journal.opened_many({int(b["token"]): {**b, "signatures": ()} for b in convoy})

    def take(self, batches: Sequence[Batch]) -> list[Batch]:
        """Begin to work on received batches; those that are not ours are absent: leave them alone.

        That is when a claim is gone, or when another copy of the batch was taken already.
        """
        left = self.left(batches)
        gone = [batch.token for batch in batches if batch.token not in left]
        with self.lock:
            fresh = [b for b in batches if b.token in left and b.token not in self.ends]
            self.ends.update({batch.token: left[batch.token] for batch in fresh})
        taken = wiring.limits().acquire_each([[self.turn(batch.token)] for batch in fresh])
        ours = [batch for batch, full in zip(fresh, taken, strict=True) if not full]
        gone += [batch.token for batch, full in zip(fresh, taken, strict=True) if full]
        self.drop(gone)
        return ours

    def left(self, batches: Sequence[Batch]) -> dict[int, float]:
        """Until when (monotonic) each batch's claim lasts at least; absent when it is gone.

        A young claim is looked at, not renewed: a durable write a stage for nothing keeps the
        write lock from those who settle. The heartbeat renews it in time.
        """
        begun, now = time.monotonic(), now_ms()
        ages = {batch.token: (now - batch.claimed_at) / 1000 for batch in batches}
        young = [t for t, age in ages.items() if 0 <= age < self.claim_seconds / 2]
        old = sorted(ages.keys() - set(young))
        ends = {t: begun + self.claim_seconds - ages[t] for t in claim.held(young)}
        renewed = claim.renew(old, seconds=self.claim_seconds)
        return ends | dict.fromkeys(renewed, begun + self.claim_seconds)

    def turn(self, token: int) -> Slot:
        """Who takes this first does this stage's work on the batch."""
        ttl = self.claim_seconds * 1.5
        return Slot(f"taken:{self.stage}:{token}", 1, self.holder, ttl)

    def holds(self, token: int) -> bool:
        """Whether the batch's claim lasts, by our own clock: ask before each message."""
        return time.monotonic() < self.ends.get(token, 0.0)

    def drop(self, tokens: Iterable[int]) -> None:
        """The batches are none of this process's business any more."""
        tokens = list(tokens)
        with self.lock:
            for token in tokens:
                self.ends.pop(token, None)
        self.journal.closed_many(tokens)

    def reply(self, token: int, outcome: Outcome) -> None:
        """One outcome, the moment it is known."""
        self.journal.replies(token, [outcome_row(outcome)])

    def replies(self, token: int, outcomes: Sequence[Outcome]) -> None:
        """Several that became known at the same moment."""
        self.journal.replies(token, [outcome_row(outcome) for outcome in outcomes])

    def pass_on(self, tokens: Iterable[int], *, vouch: bool) -> None:
        """The next stage has the batches; `vouch` keeps them open here until they are settled."""
        if vouch:
            self.journal.handed_on_many(tokens)
        else:
            self.drop(tokens)

    def failed(self, token: int) -> None:
        """Work on the batch ended in an error: the next heartbeat settles what is known of it."""
        self.journal.handed_on_many([token], at=float("-inf"))

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
                self.drop([token])
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
            self.drop([token])

    def stop(self, patience: float) -> None:
        """Give the next stage `patience` seconds to settle, then settle and return the rest."""
        self.stopping.set()
        ends = time.monotonic() + patience
        while time.monotonic() < ends and (open_now := self.journal.open_batches()):
            held = claim.renew(list(open_now), seconds=self.claim_seconds)
            self.drop(open_now.keys() - held)
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
        judge([batch], random.Random())
    else:
        free([batch], [])
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
