"""Dispatch: turns what is due into batches under way. Self-clocked: it sleeps until it is nudged
(an injection, a settled batch), or until the next instant at which something becomes due.

Rule 1: tenants take turns; within a tenant transactional lanes go first, then the oldest.
Rule 2: a batch needs a place among all batches and among those of its domain; a domain that has
        none left is skipped until one of its batches settles, which nudges.
Rule 3: a claim whose batch could not be published is given back.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections import deque

import redis
from django.db import Error as DatabaseError
from django.db import close_old_connections

from mta import wiring
from mta.delivery.batch import Batch
from mta.delivery.judge import free, slots
from mta.egress.sources import suspended
from mta.spool import claim, due
from mta.spool.due import DueLane
from mta.spool.settle import Summary
from mta.spool.streams import stream_facts
from mta.storage.fields import now_ms
from tasks import pipeline

log = logging.getLogger(__name__)
#: Longest sleep: a nudge that got lost costs at most this, seconds.
LONGEST_SLEEP = 5.0
#: Lanes read for one tenant in one round, and batches published in one round trip.
LANES_A_TURN = 20
BATCHES_A_ROUND = 16
#: A suspended lane is looked at again after this, milliseconds; resuming arms it at once.
SUSPENDED_MS = 60_000


class Dispatcher:
    """The loop of one dispatch process; several may run side by side."""

    def __init__(self) -> None:
        self.config = wiring.config()
        self.limits = wiring.limits()
        self.stopping = threading.Event()
        #: What ended the last round early; raised once its batches are on their way.
        self.failure: Exception | None = None

    def run(self) -> None:
        """Dispatch until SIGTERM or SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop())
        log.info("dispatching")
        while not self.stopping.is_set():
            try:
                self.round()
                wiring.nudge().wait(self.pause())
            except (DatabaseError, redis.RedisError, pipeline.NotPublished) as error:
                log.warning("dispatch pauses: %s: %s", type(error).__name__, error)
                close_old_connections()
                self.stopping.wait(1.0)

    def stop(self) -> None:
        """End the loop; called by the signal, wakes the wait."""
        self.stopping.set()
        threading.Thread(target=wiring.nudge().ring, daemon=True).start()

    def pause(self) -> float:
        """Seconds until something is due by the clock."""
        now = now_ms()
        at = due.next_due_at(now)
        return LONGEST_SLEEP if at is None else min(LONGEST_SLEEP, max(0.001, (at - now) / 1000))

    def round(self) -> int:
        """Start every batch that may start now; returns how many."""
        started = 0
        full: set[str] = set()
        while not self.stopping.is_set():
            batches = self.fill(full)
            if batches:
                self.publish(batches)
            if self.failure is not None:
                raise self.failure
            if not batches:
                return started
            started += len(batches)
        return started

    def fill(self, full: set[str]) -> list[Batch]:
        """Up to BATCHES_A_ROUND claimed batches, tenants in turn; adds domains without room."""
        now = now_ms()
        turns: deque[deque[DueLane]] = deque()
        for tenant in due.tenants_due(now):
            lanes = due.lanes_due(tenant, now, skip_domains=full, limit=LANES_A_TURN)
            if lanes:
                turns.append(deque(lanes))
        batches: list[Batch] = []
        self.failure = None
        while turns and len(batches) < BATCHES_A_ROUND:
            lanes_of_tenant = turns.popleft()
            lane = lanes_of_tenant.popleft()
            if lanes_of_tenant:
                turns.append(lanes_of_tenant)
            if lane.domain in full or self.suspended(lane):
                continue
            try:
                room = self.batch_of(lane)
            except (DatabaseError, redis.RedisError) as error:
                self.failure = error  # what is claimed already goes its way first
                break
            if isinstance(room, Batch):
                batches.append(room)
            elif room == "batches":
                break
            elif room:
                full.add(lane.domain)
        return batches

    def suspended(self, lane: DueLane) -> bool:
        """Put a lane off that a person has suspended."""
        tenant = stream_facts(lane.stream_id).tenant_name
        for scope, keys in (("tenant", (tenant,)), ("site", (lane.domain, lane.site))):
            if suspended(scope, *keys):
                due.put_off(lane.id, now_ms() + SUSPENDED_MS, f"{scope} suspended")
                return True
        return False

    def batch_of(self, lane: DueLane) -> Batch | str:
        """A claimed batch of the lane; or the slot that is full; or "" when nothing was left."""
        token = claim.new_token()
        places = slots(token, lane.domain)
        refused = self.limits.acquire(places)
        if refused:
            return "batches" if refused.endswith("batches") else refused
        taken = None
        try:
            seconds = self.config.claim_seconds
            taken = claim.claim(lane.id, lane.window, token=token, seconds=seconds)
        finally:
            if taken is None or not taken.recipient_ids:
                self.limits.release(places)
        if taken is None or not taken.recipient_ids:
            return ""
        return Batch(
            token=token,
            lane_id=lane.id,
            tenant_id=lane.tenant_id,
            stream_id=lane.stream_id,
            domain=lane.domain,
            recipient_ids=taken.recipient_ids,
            claimed_at=now_ms(),
            window=lane.window,
            busy=taken.more and len(taken.recipient_ids) >= lane.window,
            bound_source_id=taken.source_id,
        )

    def publish(self, batches: list[Batch]) -> None:
        """Start the chains; on failure the claims and their places go back, the error is raised."""
        try:
            pipeline.start(batches)
        except pipeline.NotPublished:
            for batch in batches:
                try:
                    claim.give_back(batch.token)
                    free(batch, Summary(0))
                except DatabaseError:  # this claim ends by itself; the others need not
                    log.warning("claim of a batch that was not published not given back")
            raise
