"""Whether a warming source may send more tomorrow: one decision per source, provider and day.

Rule 1: it advances one stage after a day on which enough of the stage was delivered and every rate
        stayed within its gate; after the last stage it is warm and has no cap.
Rule 2: a bad day, with a rate at twice its gate or more, takes one stage back.
Rule 3: on every other day it holds. A day without attempts holds and is never bad.
Rule 4: after `restart_after_days` idle days it starts again at stage 1, warm or not.
Rule 5: what a person holds stays where it is until a person resumes it.
Rule 6: one refusal is chance: a rate needs 2 cases to hold and 3 to take a stage back.

Stages as SparkPost's automatic warmup passes them: on at 90 % of the stage; idle time as SendGrid
does it: warm again after 30 days.
"""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

#: Refusals that judge the sender: lists of bad addresses, and mail taken for spam. A filter seldom
#: says which of the two it meant.
BLOCKS = frozenset({"reputation", "spam_content"})
#: Attempts that say nothing of the sender: nobody answered, or a second try was asked for.
UNJUDGED = frozenset({"connection", "dns", "tls", "greylisted"})
#: Temporary refusals that are the mailbox's own.
MAILBOX = frozenset({"quota", "bad_mailbox", "inactive"})
#: A day is bad when a rate is this many times its gate.
BAD = 2.0
#: Cases that a rate needs before it holds, and before it takes a stage back.
CASES_TO_HOLD, CASES_TO_STEP_BACK = 2, 3
#: Characters of a reason that are kept.
REASON = 200


class Status(StrEnum):
    WARMING = "warming"
    HELD = "held"  #: by a person
    WARM = "warm"


class Move(StrEnum):
    """What a decision does; the kind of its event is `warmup_` and this."""

    ADVANCE = "advance"
    HOLD = "hold"
    STEP_BACK = "step_back"
    RESTART = "restart"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Gates:
    """What a day must keep to for the next stage; the names are those of WarmupSchedule."""

    min_sent_share: float = 0.9  #: of the stage, delivered
    max_deferral_rate: float = 0.15  #: of the attempts
    max_block_rate: float = 0.02  #: of the attempts
    max_complaint_rate: float = 0.001  #: of the deliveries
    restart_after_days: int = 30


@dataclass(frozen=True, slots=True)
class DayFigures:
    """What one source did towards one provider on one UTC day."""

    day: date
    cap: int
    attempted: int = 0  #: attempts that the receiver judged
    delivered: int = 0
    deferred: int = 0  #: of the attempts, refused for now because of the sender
    blocked: int = 0  #: of the attempts, with a class of BLOCKS
    complaints: int = 0

    @property
    def deferral_rate(self) -> float:
        return self.deferred / self.attempted if self.attempted else 0.0

    @property
    def block_rate(self) -> float:
        return self.blocked / self.attempted if self.attempted else 0.0

    @property
    def complaint_rate(self) -> float:
        """Of the deliveries; a complaint on a day without any counts as one of one."""
        return self.complaints / max(self.delivered, 1)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a source stands with one provider."""

    stage: int
    status: Status
    last_sent_on: date | None


@dataclass(frozen=True, slots=True)
class Decision:
    """The stage and status from now on, and why in one sentence."""

    move: Move
    stage: int
    status: Status
    reason: str


@dataclass(frozen=True, slots=True)
class Rate:
    """One gate on one day."""

    name: str
    cases: int
    value: float
    gate: float

    @property
    def is_bad(self) -> bool:
        return self.cases >= CASES_TO_STEP_BACK and self.value >= BAD * self.gate

    @property
    def is_over(self) -> bool:
        return self.cases >= CASES_TO_HOLD and self.value > self.gate

    def __str__(self) -> str:
        return f"{self.name} rate {self.value:.2%} ({self.cases}), gate {self.gate:.2%}"


def judged(outcome: str, bounce_class: str) -> tuple[int, int, int, int]:
    """(attempted, delivered, deferred, blocked) that one attempt adds to its day's figures.

    `outcome` is delivered, deferred or bounced; anything else was no attempt and adds nothing.
    """
    if outcome == "delivered":
        return 1, 1, 0, 0
    if outcome not in {"deferred", "bounced"} or bounce_class in UNJUDGED:
        return 0, 0, 0, 0
    deferred = outcome == "deferred" and bounce_class not in MAILBOX
    return 1, 0, int(deferred), int(bounce_class in BLOCKS)


def decide(
    stages: int, gates: Gates, standing: Standing, figures: DayFigures | None, today: date
) -> Decision:
    """Decide what follows from a day that is over; `figures` are its, None when nothing was sent.

    `stages` is their number; `today` is the UTC day after the day that is judged.
    """
    stage = min(max(standing.stage, 1), max(stages, 1))
    kept = Decision(Move.HOLD, stage, standing.status, "")
    if standing.status is Status.HELD:
        return reasoned(kept, "a person holds it at this stage")
    if figures is None or not (figures.attempted or figures.complaints):
        return after_idle_day(kept, gates, standing, today)
    if standing.status is Status.WARM:
        return reasoned(kept, "it is warm")
    rates = rates_of(figures, gates)
    if bad := [rate for rate in rates if rate.is_bad]:
        back = Decision(Move.STEP_BACK, stage - 1, Status.WARMING, "")
        if stage > 1:
            return reasoned(back, f"a bad day: {told(bad)}")
        return reasoned(kept, f"a bad day at the first stage: {told(bad)}")
    if over := [rate for rate in rates if rate.is_over]:
        return reasoned(kept, f"over the gate: {told(over)}")
    share = f"{figures.delivered:,} of {figures.cap:,} delivered"
    if not figures.cap or figures.delivered < gates.min_sent_share * figures.cap:
        return reasoned(kept, f"{share}, {gates.min_sent_share:.0%} are needed")
    if stage >= stages:
        return reasoned(Decision(Move.DONE, stage, Status.WARM, ""), f"{share} at the last stage")
    return reasoned(Decision(Move.ADVANCE, stage + 1, Status.WARMING, ""), share)


def rates_of(figures: DayFigures, gates: Gates) -> tuple[Rate, ...]:
    """The three rates of a day beside their gates."""
    return (
        Rate("deferral", figures.deferred, figures.deferral_rate, gates.max_deferral_rate),
        Rate("block", figures.blocked, figures.block_rate, gates.max_block_rate),
        Rate("complaint", figures.complaints, figures.complaint_rate, gates.max_complaint_rate),
    )


def after_idle_day(kept: Decision, gates: Gates, standing: Standing, today: date) -> Decision:
    """Nothing was sent: hold, or start again when that has lasted too long."""
    first = kept.stage == 1 and standing.status is Status.WARMING
    if standing.last_sent_on is not None and not first:
        idle = (today - standing.last_sent_on).days - 1
        if idle >= gates.restart_after_days:
            again = Decision(Move.RESTART, 1, Status.WARMING, "")
            return reasoned(again, f"nothing was sent for {idle} days")
    return reasoned(kept, "nothing was sent")


def told(rates: list[Rate]) -> str:
    return "; ".join(map(str, rates))


def reasoned(decision: Decision, reason: str) -> Decision:
    return Decision(decision.move, decision.stage, decision.status, reason[:REASON])
