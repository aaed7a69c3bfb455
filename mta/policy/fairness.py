"""Who is served next when there is not enough for all: tenants by weight, urgent mail before bulk.

Rule 1: deficit round robin: in each turn a tenant may have its weight times the quantum; what it
        had beyond that is taken off its next turns. A tenant with nothing to send saves up nothing.
Rule 2: within a tenant urgent mail goes first, but bulk mail that waits beside it gets at least
        OTHERS_SHARE of the units.
Rule 3: this file knows no clock and no mail: keys are tenants, units are whatever is short.
"""

from collections import deque
from collections.abc import Collection, Mapping

#: Part of a tenant's units that urgent mail cannot take from the rest.
OTHERS_SHARE = 0.1
#: Most units that the rest is owed: a batch.
MOST_OWED = 100.0
#: Tenants whose debts are remembered while they have nothing to send.
MOST_REMEMBERED = 10_000


class Fair:
    """The turns at one thing that is short; belongs to one thread."""

    def __init__(self, quantum: float = 1.0) -> None:
        """`quantum`: units of a turn at weight 1."""
        self.quantum = quantum
        self.order: deque[int] = deque()
        self.deficit: dict[int, float] = {}
        #: Units that the rest of a tenant's mail has to get before urgent mail goes on.
        self.owed: dict[int, float] = {}

    def turn(self, waiting: Collection[int], weights: Mapping[int, int]) -> int:
        """Whose turn it is among those that wait; ValueError when nobody does."""
        if not waiting:
            raise ValueError("a turn needs somebody who waits")
        known = set(self.order)
        for tenant in waiting:
            if tenant not in known:
                self.order.append(tenant)
        while True:
            tenant = self.order[0]
            if tenant not in waiting:
                self.leave()
            elif self.deficit.get(tenant, 0.0) > 0:
                return tenant
            else:
                self.order.rotate(-1)
                first = self.order[0]
                due = self.quantum * max(1, weights.get(first, 1))
                self.deficit[first] = self.deficit.get(first, 0.0) + due

    def leave(self) -> None:
        """The first has nothing to send: it keeps debts only."""
        tenant = self.order.popleft()
        if self.deficit.get(tenant, 0.0) >= 0 or len(self.deficit) > MOST_REMEMBERED:
            self.deficit.pop(tenant, None)
        # What is owed stays: the tenant may only be between two turns.
        if len(self.owed) > MOST_REMEMBERED:
            self.owed.pop(tenant, None)

    def urgent_next(self, tenant: int, *, urgent: bool, other: bool) -> bool:
        """Whether the tenant's urgent mail goes next, given which kinds of mail wait."""
        return urgent and not (other and self.owed.get(tenant, 0.0) >= 1.0)

    def charge(self, tenant: int, units: float, *, urgent: bool, other_waits: bool = False) -> None:
        """Units that the tenant got; negative ones it gave back unused."""
        self.deficit[tenant] = self.deficit.get(tenant, 0.0) - units
        if urgent and other_waits:
            due = units * OTHERS_SHARE / (1.0 - OTHERS_SHARE)
            self.owed[tenant] = min(MOST_OWED, self.owed.get(tenant, 0.0) + due)
        elif not urgent and tenant in self.owed:
            self.owed[tenant] -= units
