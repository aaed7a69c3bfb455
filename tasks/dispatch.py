"""Dispatch: turns what is due into batches under way. Self-clocked: it sleeps until it is nudged
(an injection, a settled batch), or until the next instant at which something becomes due.

Rule 1: tenants take turns by their weights, transactional mail before bulk (tasks/turns.py); lanes
        that wait behind a limit start as much as it has free, and no more.
Rule 2: a batch needs a place among all batches and among those of its domain; a domain that has
        none left is skipped until one of its batches settles, which nudges.
Rule 3: a claim whose batch could not be published is given back.
Rule 4: an idle lane starts at once. While the system is busy, a lane whose last batch was small
        waits a moment for more to come: what a batch costs is shared by few otherwise.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import redis
from django.db import Error as DatabaseError
from django.db import close_old_connections

from mta import wiring
from mta.delivery.batch import Batch
from mta.delivery.judge import free, slots
from mta.egress.sources import suspended
from mta.spool import claim, due, rule_changes, waiting
from mta.spool.claim import Claim, Want
from mta.spool.due import DueLane
from mta.spool.lanes import ENGAGED, TRANSACTIONAL
from mta.spool.rule_changes import HEARD_MS
from mta.spool.streams import stream_facts
from mta.spool.waiting import PutOff
from mta.storage.fields import now_ms
from tasks import pipeline
from tasks.convoys import convoys
from tasks.gates import Gates
from tasks.pacing import Pacing
from tasks.turns import Offer, Turns

log = logging.getLogger(__name__)
#: Longest sleep: a nudge that got lost costs at most this, seconds.
LONGEST_SLEEP = 5.0
#: Lanes read for one tenant in one round, and claims made in one transaction.
LANES_A_TURN = 64
CLAIMS_A_ROUND = 64
#: Of these, for lanes that wait behind limits.
GATED_A_ROUND = 48
#: Claims of one lane in one round, when it was seen to have more than one batch holds.
CLAIMS_A_LANE = 8
#: How far ahead lanes behind limits are looked at together, milliseconds.
HORIZON_MS = 25
#: Changes of rules are asked for this often, seconds.
CHANGES_SECONDS = 0.5
#: A suspended lane is looked at again after this, milliseconds; resuming arms it at once.
SUSPENDED_MS = 60_000


class Dispatcher:
    """The loop of one dispatch process; several may run side by side."""

    def __init__(self) -> None:
        self.config = wiring.config()
        self.limits = wiring.limits()
        self.stopping = threading.Event()
        self.pacing = Pacing()
        self.turns = Turns(Gates(self.limits))
        #: Up to which instant was looked for lanes that are due, ms.
        self.looked_at = 0
        #: When changes of rules were last asked for (of the clock); the last one, and the last that
        #: was heeded (ms).
        self.asked_at, self.changed_at, self.heeded = float("-inf"), 0, 0

    def run(self) -> None:
        """Dispatch until SIGTERM or SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop())
        log.info("dispatching")
        while not self.stopping.is_set():
            try:
                self.round()
                self.stopping.wait(self.pacing.rest())
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
        """Seconds until something is due by the clock, or a lane has waited long enough."""
        # From where the last look ended: what became due meanwhile has not been seen yet.
        at = due.next_due_at(self.looked_at)
        now = now_ms()
        by_clock = LONGEST_SLEEP if at is None else max(0.001, (at - now) / 1000)
        if self.changed_at > self.heeded:
            by_clock = min(by_clock, max(0.001, (self.changed_at + HEARD_MS + 1 - now) / 1000))
        return min(LONGEST_SLEEP, by_clock, self.pacing.next_release())

    def round(self) -> int:
        """Start every batch that may start now; returns how many."""
        self.heed_changes()
        started = 0
        full: set[str] = set()
        while not self.stopping.is_set():
            batches = self.fill(full)
            if not batches:
                break
            self.publish(batches)
            started += len(batches)
        return started

    def heed_changes(self) -> None:
        """Let lanes go that an old rule put off while others had not heard of the new one."""
        if time.monotonic() - self.asked_at >= CHANGES_SECONDS:
            self.asked_at = time.monotonic()
            self.changed_at = rule_changes.last_change()
        if self.heeded < self.changed_at < now_ms() - HEARD_MS:
            self.heeded = self.changed_at
            waiting.release_all()

    def fill(self, full: set[str]) -> list[Batch]:
        """Claimed batches, at most CLAIMS_A_ROUND; adds domains without room to `full`."""
        offers: dict[int, Offer] = {}
        groups = []
        for offer in self.in_turn(full):
            token = claim.new_token()
            offers[token] = offer
            groups.append(slots(token, offer.lane.domain, urgent=is_urgent(offer.lane)))
            if len(offers) == CLAIMS_A_ROUND:
                break
        refused = dict(zip(offers, self.limits.acquire_each(groups), strict=True))
        for token, key in refused.items():
            if key:
                self.turns.unused(offers[token], offers[token].limit)
                if not key.endswith("batches"):
                    full.add(offers[token].lane.domain)
        admitted = {token: offer for token, offer in offers.items() if not refused[token]}
        taken = self.claimed(admitted)
        return [self.batch(admitted[token].lane, found) for token, found in taken.items()]

    def batch(self, lane: DueLane, found: Claim) -> Batch:
        light = self.pacing.light(lane.tenant_id, len(found.recipient_ids))
        return replace(batch_of(lane, found), light=light)

    def in_turn(self, full: set[str]) -> Iterator[Offer]:
        """Lanes that may start a batch; those that got units of a limit first."""
        now = self.looked_at = now_ms()
        self.pacing.waiting.clear()
        lanes = self.due_lanes(now, full)
        free, behind = self.turns.sort(
            {tenant: [lane for lane in few if self.may_go(lane)] for tenant, few in lanes.items()}
        )
        weights = {t: stream_facts(few[0].stream_id).weight for t, few in lanes.items() if few}
        offers, waits = self.turns.admitted(behind, weights)
        waiting.put_off(waits)
        for offer in offers[GATED_A_ROUND:]:
            self.turns.unused(offer, offer.limit)
        yield from offers[:GATED_A_ROUND]
        for queue in free.values():
            queue.keep(lambda lane: self.pacing.may_start(lane.id))
        yield from self.turns.in_turn(free, weights, self.again)

    def due_lanes(self, now: int, full: set[str]) -> dict[int, list[DueLane]]:
        """By tenant: lanes that are due, and those behind limits that are due in a moment.

        Who shares a limit is woken for the same instant, give or take a millisecond: who is looked
        at first must not have it all.
        """
        soon = now + HORIZON_MS
        found = {}
        for tenant in due.tenants_due(soon):
            few = due.lanes_due(tenant, soon, skip_domains=full, limit=LANES_A_TURN)
            found[tenant] = [lane for lane in few if lane.gate or lane.due_at <= now]
        return found

    def again(self, lane: DueLane, times: int) -> bool:
        """Whether a lane comes again in this round."""
        return times < CLAIMS_A_LANE and self.pacing.has_more(lane.id)

    def may_go(self, lane: DueLane) -> bool:
        """Whether nobody has suspended it."""
        tenant = stream_facts(lane.stream_id).tenant_name
        for scope, key in (("tenant", tenant), ("site", lane.domain), ("site", lane.site)):
            if key and suspended(scope, key):
                gate = waiting.suspended(scope, key)
                until = now_ms() + SUSPENDED_MS
                waiting.put_off([PutOff(lane.id, until, gate, f"the {scope} is suspended")])
                return False
        return True

    def claimed(self, admitted: dict[int, Offer]) -> dict[int, Claim]:
        """The claims by token; places of lanes that had nothing left are given back."""
        wants = [Want(offer.lane.id, offer.limit, token) for token, offer in admitted.items()]
        taken: dict[int, Claim] = {}
        try:
            if wants:
                found = claim.claim_many(wants, seconds=self.config.claim_seconds)
                taken = {one.token: one for one in found if one.recipient_ids}
        finally:
            idle = [t for t in admitted if t not in taken]
            self.limits.release([s for t in idle for s in slots(t, admitted[t].lane.domain)])
        for token, offer in admitted.items():
            claimed = taken.get(token)
            count = len(claimed.recipient_ids) if claimed else 0
            self.turns.unused(offer, offer.limit - count)
            if claimed:
                full = count >= offer.limit
                self.pacing.started(offer.lane.id, count, full=full, more=claimed.more)
        return taken

    def publish(self, batches: list[Batch]) -> None:
        """Send them off; on failure the claims and their places go back, the error is raised."""
        try:
            pipeline.start(convoys(batches))
        except pipeline.NotPublished:
            try:
                claim.give_back([batch.token for batch in batches])
            except DatabaseError:  # the claims end by themselves
                log.warning("claims of batches that were not published not given back")
            free(batches, [])
            raise


def is_urgent(lane: DueLane) -> bool:
    return lane.priority == TRANSACTIONAL


def batch_of(lane: DueLane, taken: Claim) -> Batch:
    return Batch(
        token=taken.token,
        lane_id=lane.id,
        tenant_id=lane.tenant_id,
        stream_id=lane.stream_id,
        domain=lane.domain,
        recipient_ids=taken.recipient_ids,
        claimed_at=now_ms(),
        window=lane.window,
        busy=taken.more and len(taken.recipient_ids) >= lane.window,
        urgent=is_urgent(lane),
        engaged=lane.priority == ENGAGED,
        pool_id=lane.pool_id,
        bound_source_id=taken.source_id,
    )
