"""Turns: which of the lanes that are due start a batch now, how large, and which wait on.

Rule 1: what is short is shared by Fair: the places of batches under way, and the units of each
        limit that lanes wait behind.
Rule 2: a lane behind a limit starts only what that has free; the others are told when their turn
        comes, one after the other, so that a limit wakes no more than it lets through.
Rule 3: a lane with much to do comes again after all others of its tenant.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from mta.policy.fairness import Fair
from mta.spool.due import DueLane
from mta.spool.lanes import ENGAGED, TRANSACTIONAL
from mta.spool.waiting import PutOff
from mta.storage.fields import now_ms
from tasks.gates import Gates, Joint

#: Recipients of one turn at the places under way, for a tenant of weight 1.
TURN = 100
#: Lanes behind one limit that are woken for the same instant.
TOGETHER = 16
#: Lanes of which is known when they were served.
MOST_LANES = 20_000
#: Limits whose turns are remembered.
MOST_LIMITS = 5_000


class Offer(NamedTuple):
    """A lane that may start a batch of at most `limit` recipients."""

    lane: DueLane
    limit: int
    #: The limit whose units it has, "" when it waits behind none.
    gate: str = ""


@dataclass(slots=True)
class Queue:
    """What one tenant has due, by urgency; the order is that of the lanes' due times."""

    urgent: deque[DueLane] = field(default_factory=deque)
    other: deque[DueLane] = field(default_factory=deque)

    def of(self, *, urgent: bool) -> deque[DueLane]:
        return self.urgent if urgent else self.other

    def add(self, lane: DueLane) -> None:
        """Behind all others of its kind; engaged recipients come before other bulk mail."""
        there = self.of(urgent=lane.priority == TRANSACTIONAL)
        at = len(there)
        if lane.priority == ENGAGED:
            while at and there[at - 1].priority != ENGAGED:
                at -= 1
        there.insert(at, lane)

    def keep(self, wanted: Callable[[DueLane], bool]) -> None:
        """Leave out lanes that are not wanted now."""
        self.urgent = deque(filter(wanted, self.urgent))
        self.other = deque(filter(wanted, self.other))

    def __bool__(self) -> bool:
        return bool(self.urgent or self.other)


class Turns:
    """The turns of one dispatcher."""

    def __init__(self, gates: Gates) -> None:
        self.gates = gates
        self.places = Fair(TURN)
        self.units: dict[str, Fair] = {}
        #: When lanes behind limits last started something, of the clock.
        self.served: dict[int, float] = {}

    def sort(self, lanes: Mapping[int, Sequence[DueLane]]) -> tuple[dict[int, Queue], Behind]:
        """(what nothing holds back by tenant, what waits behind limits); asks Redis once."""
        self.gates.look({lane.gate for few in lanes.values() for lane in few if lane.gate})
        free: dict[int, Queue] = {}
        behind: Behind = defaultdict(dict)
        for tenant, few in lanes.items():
            # Who was served longest ago goes first: else the one with most would have it all.
            for lane in sorted(few, key=lambda lane: self.served.get(lane.id, 0.0)):
                held = self.gates.get(lane.gate)
                there = free if held is None else behind[lane.gate]
                there.setdefault(tenant, Queue()).add(lane)
        return free, behind

    def admitted(
        self, behind: Behind, weights: Mapping[int, int]
    ) -> tuple[list[Offer], list[PutOff]]:
        """Lanes behind limits that may start with units of theirs, and when the others may."""
        offers: list[Offer] = []
        waits: list[PutOff] = []
        for key, queues in behind.items():
            gate = self.gates.get(key)
            if gate is not None:
                offers += self.share(key, gate, queues, weights)
                waits += self.line_up(key, gate, queues, weights)
        return offers, waits

    def share(
        self, key: str, gate: Joint, queues: dict[int, Queue], weights: Mapping[int, int]
    ) -> list[Offer]:
        """Give what the limit has free to the lanes in turn."""
        fair = self.fair(key)
        moment = self.gates.clock()
        free = gate.free(moment)
        step = max(1, free // 64)
        given: dict[int, int] = {}
        lanes: dict[int, DueLane] = {}
        while free > 0 and (waiting := [tenant for tenant, queue in queues.items() if queue]):
            tenant = fair.turn(waiting, weights)
            lane, urgent = first_of(fair, tenant, queues[tenant])
            units = min(step, free, 100 - given.get(lane.id, 0))
            given[lane.id] = given.get(lane.id, 0) + units
            lanes[lane.id] = lane
            fair.charge(tenant, units, urgent=urgent, other_waits=bool(queues[tenant].other))
            free -= units
            if given[lane.id] >= 100:
                queues[tenant].of(urgent=urgent).popleft()
        for queue in queues.values():
            for lanes_of in (queue.urgent, queue.other):
                while lanes_of and lanes_of[0].id in given:
                    lanes_of.popleft()
        gate.take(sum(given.values()), moment)
        if len(self.served) > MOST_LANES:
            self.served.clear()
        self.served.update(dict.fromkeys(given, moment))
        return [Offer(lanes[lane_id], units, key) for lane_id, units in given.items()]

    def line_up(
        self, key: str, gate: Joint, queues: dict[int, Queue], weights: Mapping[int, int]
    ) -> list[PutOff]:
        """Tell those that got nothing when to come again.

        The first TOGETHER come for the same instant, so that turns are decided then; those behind
        them one after the other, as the limit lets them through.
        """
        line: list[tuple[float, DueLane]] = []
        for tenant, queue in queues.items():
            share = 1.0 / max(1, weights.get(tenant, 1))
            ours = [*queue.urgent, *queue.other]
            line += [((at + 1) * share, lane) for at, lane in enumerate(ours)]
        line.sort(key=lambda one: one[0])
        # Both clocks at one moment: who waits for the same instant has to be told the same.
        moment, now = self.gates.clock(), now_ms()
        first = gate.wait(gate.quantum, moment)
        step = gate.quantum * gate.interval
        waits = []
        for at, (_, lane) in enumerate(line):
            wait = first + max(0, at + 1 - TOGETHER) * step
            waits.append(PutOff(lane.id, now + max(1, round(wait * 1000)), key, ""))
        return waits

    def in_turn(
        self, queues: dict[int, Queue], weights: Mapping[int, int],
        again: Callable[[DueLane, int], bool],
    ) -> Iterator[Offer]:  # fmt: skip
        """Lanes that nothing holds back, in turn; `again` says whether one comes once more."""
        times: dict[int, int] = {}
        while waiting := [tenant for tenant, queue in queues.items() if queue]:
            tenant = self.places.turn(waiting, weights)
            queue = queues[tenant]
            lane, urgent = first_of(self.places, tenant, queue)
            queue.of(urgent=urgent).popleft()
            self.places.charge(tenant, lane.window, urgent=urgent, other_waits=bool(queue.other))
            times[lane.id] = times.get(lane.id, 0) + 1
            yield Offer(lane, lane.window)
            if again(lane, times[lane.id]):
                queue.add(lane)

    def unused(self, offer: Offer, count: int) -> None:
        """`count` recipients of an offer were not there."""
        lane, urgent = offer.lane, offer.lane.priority == TRANSACTIONAL
        if count and offer.gate:
            self.fair(offer.gate).charge(lane.tenant_id, -count, urgent=urgent)
            gate = self.gates.get(offer.gate)
            if gate is not None:
                gate.take(-count, self.gates.clock())
        elif count:
            self.places.charge(lane.tenant_id, -count, urgent=urgent)

    def fair(self, key: str) -> Fair:
        """The turns at one limit."""
        found = self.units.pop(key, None) or Fair()
        self.units[key] = found  # the youngest stand last
        if len(self.units) > MOST_LIMITS:
            del self.units[next(iter(self.units))]
        return found


#: By limit: what each tenant has waiting behind it.
Behind = dict[str, dict[int, Queue]]


def first_of(fair: Fair, tenant: int, queue: Queue) -> tuple[DueLane, bool]:
    """The tenant's next lane, and whether it is urgent."""
    urgent = fair.urgent_next(tenant, urgent=bool(queue.urgent), other=bool(queue.other))
    return queue.of(urgent=urgent)[0], urgent
