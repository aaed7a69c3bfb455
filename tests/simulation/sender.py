"""A sender with as much mail as it can send, under the throttle that the product uses.

It does what deliver workers do: take tokens of a GCRA bucket for a part of a batch, send it down
one connection, hear the replies, tell the throttle what they were. What the throttle says is seen
by the other connections a little later, as by other processes.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from mta.policy import throttle_rate
from mta.policy.throttle_rate import Rate
from tests.simulation.receiver import Receiver

#: How old what a worker knows of a path may be, seconds.
STALE = 0.5
BATCH = 100


@dataclass
class Sender:
    """`connections` of them send at once, each message takes about `latency` seconds."""

    receiver: Receiver
    rng: random.Random
    full: float = 100.0
    burst: int = 100
    connections: int = 5
    latency: float = 0.1
    #: Whether a refusal closes the connection (421) or not (450).
    closes: bool = True
    #: Messages a second that come in; 0: there is always more.
    demand: float = 0.0
    state: Rate | None = None
    known: Rate | None = None
    known_at: float = -1.0
    arrival: float = 0.0
    trying_until: float = 0.0
    unreported: list[tuple[int, int]] = field(default_factory=list)
    #: (instant, rate), whenever the throttle changed.
    rates: list[tuple[float, float]] = field(default_factory=list)

    def run(self, until: float) -> None:
        """Send from 0 to `until` seconds."""
        queue: list[tuple[float, int, Iterator[float]]] = []
        for number in range(self.connections):
            heapq.heappush(queue, (self.rng.random(), number, self.connection()))
        self.now = 0.0
        while queue:
            self.now, number, one = heapq.heappop(queue)
            if self.now >= until:
                return
            heapq.heappush(queue, (self.now + next(one), number, one))

    def connection(self) -> Iterator[float]:
        """One connection; yields the seconds until it is looked at again."""
        while True:
            view = self.view()
            now = round(self.now * 1000)
            trying = False
            rate, burst = self.full, self.burst
            if view is not None:
                if now < view.until:
                    yield (view.until - now) / 1000 + self.rng.uniform(0, 0.05)
                    continue
                if view.trying:
                    if self.now < self.trying_until:
                        yield self.rng.uniform(0.5, 1.0)
                        continue
                    self.trying_until, trying = self.now + 60, True
                rate = throttle_rate.advance(view, now).per_second()
                burst = max(1, round(rate / 4))
            granted, wait = (1, 0.0) if trying else self.take(rate, burst)
            if not granted:
                yield wait + self.rng.uniform(0, 0.05)
                continue
            taken: list[tuple[int, int]] = []
            bad = 0
            for _ in range(granted):
                yield self.rng.uniform(0.5, 1.5) * self.latency
                if self.receiver.offer(self.now):
                    taken.append((round(self.now * 1000), 1))
                else:
                    bad += 1
                    if self.closes or bad == 2:  # the next one was on its way
                        break
            if trying:
                self.trying_until = 0.0
            self.tell(taken, bad)

    def view(self) -> Rate | None:
        """What this worker knows of the path."""
        if self.now - self.known_at > STALE:
            self.known, self.known_at = self.state, self.now
        return self.known

    def take(self, rate: float, burst: int) -> tuple[int, float]:
        """GCRA as in mta/limits/lua/take.lua."""
        interval = 1 / rate
        arrival = min(max(self.arrival, self.now), self.now + interval * burst)
        free = int((self.now + interval * burst - arrival) / interval + 1e-9)
        granted = min(BATCH, free)
        if not granted:
            return 0, arrival + interval - interval * burst - self.now
        self.arrival = arrival + granted * interval
        return granted, 0.0

    def tell(self, taken: list[tuple[int, int]], bad: int) -> None:
        """What mta.delivery.throttle does behind each connection."""
        now = round(self.now * 1000)
        if self.state is None:
            self.unreported = [*self.unreported, *taken]
            if not bad:
                return
            self.state = throttle_rate.begun(
                self.full, throttle_rate.merged((), tuple(self.unreported), now), now
            )
            self.unreported = []
        else:
            self.state = throttle_rate.accepted(self.state, tuple(taken), now)
        if bad:
            self.state = throttle_rate.refused(self.state, now)
        self.known, self.known_at = self.state, self.now
        self.rates.append((self.now, 0.0 if self.state.trying else self.state.per_second()))
