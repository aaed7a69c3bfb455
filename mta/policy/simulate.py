"""A warmup played against expected volume, day by day: what goes where, what waits, when it ends.

Rule 1: the decisions are those of warmup_gate; only the receivers are assumed.
Rule 2: the sources are equal and share each provider's mail evenly.
Rule 3: what the cold sources may not send goes over the overflow pool on the same day, or waits.
Rule 4: mail comes in evenly over `arrival_hours` from midnight. Waiting mail fills the whole cap;
        with an overflow a cold source gets what its spread admits while mail comes in, no more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from mta.policy.warmup import spread, stage_cap
from mta.policy.warmup_gate import DayFigures, Decision, Gates, Standing, Status, decide

#: A campaign that has not ended by then is told as one that does not.
MOST_DAYS = 1000
#: Share of the attempts that a bad day's receivers refuse as a block.
BAD_DAY = 0.10


class SimulationError(ValueError):
    """A plan that cannot be played; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Receivers:
    """What is assumed of every provider, as shares of the attempts."""

    delivered: float = 0.98
    deferred: float = 0.01  #: tried again on the next day
    blocked: float = 0.0
    complaints: float = 0.0  #: of the deliveries


@dataclass(frozen=True, slots=True)
class Plan:
    """What to play; SimulationError when it cannot be."""

    stages: Sequence[int]
    daily: Mapping[str, int] = field(default_factory=dict)  #: provider -> messages that come a day
    campaign: Mapping[str, int] = field(default_factory=dict)  #: provider -> all on the first day
    sources: int = 1
    spread_hours: float = 12
    arrival_hours: float = 12
    overflow: bool = False
    gates: Gates = field(default_factory=Gates)
    receivers: Receivers = field(default_factory=Receivers)
    bad_days: frozenset[int] = frozenset()  #: days on which a tenth is blocked
    days: int = 0  #: 0: until the campaign has ended, or 30
    starts_on: date = date(2026, 1, 1)

    def __post_init__(self) -> None:
        shares = self.receivers
        told = shares.delivered + shares.deferred
        problems = {
            "give at least one stage": not self.stages,
            "give messages a day, or a campaign": not sum(self.daily.values())
            + sum(self.campaign.values()),
            "messages must be 0 or more": min(
                [*self.daily.values(), *self.campaign.values(), 0]) < 0,
            "there must be at least one source": self.sources < 1,
            "spread and arrival are 0 to 24 hours": not (
                0 <= self.spread_hours <= 24 and 0 <= self.arrival_hours <= 24),
            f"give 0 to {MOST_DAYS} days": not 0 <= self.days <= MOST_DAYS,
            "shares are 0 to 1, delivered and deferred together too": told > 1 + 1e-9 or not all(
                0 <= value <= 1 for value in
                (shares.delivered, shares.deferred, shares.blocked, shares.complaints)),
        }  # fmt: skip
        if wrong := [problem for problem, is_wrong in problems.items() if is_wrong]:
            raise SimulationError("; ".join(wrong))


@dataclass(frozen=True, slots=True)
class ProviderDay:
    """One provider on one day; counts are of all sources together."""

    provider: str
    stage: int
    cap: int | None  #: None: warm
    came: int
    cold: int  #: sent by the warming sources
    overflow: int
    waiting: int  #: at the end of the day
    decision: Decision


@dataclass(frozen=True, slots=True)
class SimulatedDay:
    number: int  #: 1 is the first
    day: date
    providers: tuple[ProviderDay, ...]

    def total(self, name: str) -> int:
        """The sum of `came`, `cold`, `overflow` or `waiting` over the providers."""
        return sum(int(getattr(one, name)) for one in self.providers)


@dataclass(frozen=True, slots=True)
class Simulation:
    days: tuple[SimulatedDay, ...]
    campaign_ends: int | None  #: number of the day; None: there is none, or it does not end
    warm_from: Mapping[str, int]  #: provider -> number of its first day without a cap


@dataclass(slots=True)
class Standings:
    """A provider on its way through the days."""

    standing: Standing
    waiting: int = 0


def simulate(plan: Plan) -> Simulation:
    """Play the plan; a campaign has ended on the first day that leaves nothing waiting."""
    names = sorted({*plan.daily, *plan.campaign})
    first = Standing(1, Status.WARMING, None)
    where = {name: Standings(first, plan.campaign.get(name, 0)) for name in names}
    days: list[SimulatedDay] = []
    ends: int | None = None
    warm_from: dict[str, int] = {}
    for number in range(1, (plan.days or MOST_DAYS) + 1):
        for name in names:
            if where[name].standing.status is Status.WARM:
                warm_from.setdefault(name, number)
        rows = tuple(play(plan, name, where[name], number) for name in names)
        days.append(SimulatedDay(number, plan.starts_on + timedelta(days=number - 1), rows))
        if ends is None and plan.campaign and not any(one.waiting for one in where.values()):
            ends = number
        if not plan.days and over(plan, number, ends):
            break
    return Simulation(tuple(days), ends, warm_from)


def over(plan: Plan, number: int, ends: int | None) -> bool:
    """Whether a plan without a number of days has been played to its end."""
    return ends is not None if plan.campaign else number >= 30


def play(plan: Plan, name: str, where: Standings, number: int) -> ProviderDay:
    """One provider's day; `where` moves on to the next."""
    before, day = where.standing, plan.starts_on + timedelta(days=number - 1)
    warm = before.status is Status.WARM
    cap = None if warm else stage_cap(plan.stages, before.stage) * plan.sources
    came = plan.daily.get(name, 0) + (plan.campaign.get(name, 0) if number == 1 else 0)
    here = where.waiting + plan.daily.get(name, 0)
    cold = here if cap is None else min(here, admitted(plan, cap))
    over_the_cap = here - cold if plan.overflow else 0
    bad = number in plan.bad_days
    again = round(cold * plan.receivers.deferred)
    where.waiting = here - cold - over_the_cap + again
    seen = figures(plan, day, cap, cold, bad)
    after = decide(len(plan.stages), plan.gates, before, seen, day + timedelta(days=1))
    last = day if cold else before.last_sent_on
    where.standing = Standing(after.stage, after.status, last)
    return ProviderDay(name, before.stage, cap, came, cold, over_the_cap, where.waiting, after)


def admitted(plan: Plan, cap: int) -> int:
    """Messages that the cold sources together get of a day with more than enough mail."""
    if not plan.overflow or not plan.spread_hours:
        return cap
    each = cap // plan.sources
    per_second, burst = spread(each, plan.spread_hours)
    return min(cap, plan.sources * round(burst + per_second * plan.arrival_hours * 3600))


def figures(plan: Plan, day: date, cap: int | None, cold: int, bad: bool) -> DayFigures:
    """What one source counts on that day."""
    attempted = cold // plan.sources
    blocked = plan.receivers.blocked + (BAD_DAY if bad else 0.0)
    delivered = max(0.0, plan.receivers.delivered - (BAD_DAY if bad else 0.0))
    done = round(attempted * delivered)
    return DayFigures(
        day,
        cap=(cap or 0) // plan.sources,
        attempted=attempted,
        delivered=done,
        deferred=round(attempted * plan.receivers.deferred),
        blocked=round(attempted * blocked),
        complaints=round(done * plan.receivers.complaints),
    )
