"""A receiving site: the state behind one domain's MX hosts, shared by all connections to them.

It decides what befalls a sender; `peer.py` only carries that out. Counters are what tests of
limits look at.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.world.behaviour import Behaviour
from tests.world.ledger import Ledger


class Connection(Protocol):
    def cut(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Host:
    name: str
    address: str
    #: False: the address is published but nothing ever listens there.
    listens: bool = True


@dataclass(slots=True)
class Site:
    domain: str
    hosts: tuple[Host, ...]
    behaviour: Behaviour
    ledger: Ledger
    #: Other domains whose mail this site takes; "*" takes everything.
    also: frozenset[str] = frozenset()
    clock: Callable[[], float] = time.time

    tries: Counter[tuple[str, str]] = field(default_factory=Counter)
    first_seen: dict[tuple[str, str, str], float] = field(default_factory=dict)
    held: dict[Connection, Callable[[], None]] = field(default_factory=dict)
    connections: set[Connection] = field(default_factory=set)
    connected: int = 0
    #: Open connections by client address now, and the most there ever were.
    open: Counter[str] = field(default_factory=Counter)
    peak: Counter[str] = field(default_factory=Counter)
    #: Replies other than success by "stage code", hang-ups by "stage drop".
    refusals: Counter[str] = field(default_factory=Counter)

    def takes(self, domain: str) -> bool:
        own = self.domain
        return (
            domain == own or domain.endswith("." + own) or domain in self.also or "*" in self.also
        )

    def trouble(self, stage: str, key: str = "", client: str = "") -> str:
        """The action of the behaviour at this stage ("" none), counted against its `times`."""
        now = self.behaviour
        if now.action == "" or now.stage != stage:
            return ""
        if now.clients and client not in now.clients:
            return ""
        if now.times >= 0:
            if self.tries[stage, key] >= now.times:
                return ""
            self.tries[stage, key] += 1
        return now.action

    def greylisted(self, client: str, sender: str, recipient: str) -> bool:
        wait = self.behaviour.greylist_seconds
        if not wait:
            return False
        now = self.clock()
        return now - self.first_seen.setdefault((client, sender, recipient), now) < wait

    def opened(self, connection: Connection, client: str) -> bool:
        """Count a connection in; False when it is one too many."""
        self.connected += 1
        self.connections.add(connection)
        self.open[client] += 1
        self.peak[client] = max(self.peak[client], self.open[client])
        limit = self.behaviour.max_connections
        return not limit or len(self.connections) <= limit

    def closed(self, connection: Connection, client: str) -> None:
        self.connections.discard(connection)
        self.open[client] -= 1
        if not self.open[client]:
            del self.open[client]

    def release(self) -> int:
        """Let every held connection go on; how many there were."""
        held, self.held = self.held, {}
        for go_on in held.values():
            go_on()
        return len(held)

    def change(self, behaviour: Behaviour) -> None:
        """Behave otherwise from now on; counts per key begin anew, what was held goes on."""
        self.behaviour = behaviour
        self.tries.clear()
        self.first_seen.clear()
        if not behaviour.listening:
            for connection in list(self.connections):
                connection.cut()
        self.release()

    def forget(self) -> None:
        self.connected = 0
        self.refusals.clear()
        self.peak = Counter(self.open)

    def status(self) -> dict[str, Any]:
        return {
            "domain": self.domain,
            "accepted": self.ledger.by_domain[self.domain],
            "connections": self.connected,
            "open": dict(self.open),
            "peak": dict(self.peak),
            "held": len(self.held),
            "refusals": dict(self.refusals),
        }
