"""The decision after a day: on, hold, back, again, or warm."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.policy.verdict import BOUNCE_CLASSES
from mta.policy.warmup_gate import (
    BLOCKS,
    MAILBOX,
    UNJUDGED,
    DayFigures,
    Decision,
    Gates,
    Move,
    Standing,
    Status,
    decide,
    judged,
)

TODAY = date(2026, 3, 10)
DAY = TODAY - timedelta(days=1)
GATES = Gates()
SECOND = Standing(2, Status.WARMING, DAY)
GOOD = DayFigures(DAY, cap=1000, attempted=1000, delivered=950)


def after(figures: DayFigures | None, standing: Standing = SECOND, stages: int = 5) -> Decision:
    return decide(stages, GATES, standing, figures, TODAY)


def test_a_good_day_advances() -> None:
    assert after(GOOD) == Decision(
        Move.ADVANCE, 3, Status.WARMING, "950 of 1,000 delivered"
    )  # fmt: skip


def test_after_the_last_stage_it_is_warm() -> None:
    assert after(GOOD, stages=2) == Decision(
        Move.DONE, 2, Status.WARM, "950 of 1,000 delivered at the last stage"
    )


@pytest.mark.parametrize(
    ("figures", "reason"),
    [
        (replace(GOOD, delivered=899), "899 of 1,000 delivered, 90% are needed"),
        (replace(GOOD, cap=0), "950 of 0 delivered, 90% are needed"),
        (replace(GOOD, deferred=151), "over the gate: deferral rate 15.10% (151), gate 15.00%"),
        (replace(GOOD, blocked=21), "over the gate: block rate 2.10% (21), gate 2.00%"),
        (replace(GOOD, complaints=2), "over the gate: complaint rate 0.21% (2), gate 0.10%"),
    ],
)
def test_it_holds(figures: DayFigures, reason: str) -> None:
    assert after(figures) == Decision(Move.HOLD, 2, Status.WARMING, reason)


@pytest.mark.parametrize(
    ("figures", "reason"),
    [
        (replace(GOOD, deferred=300), "a bad day: deferral rate 30.00% (300), gate 15.00%"),
        (replace(GOOD, blocked=40), "a bad day: block rate 4.00% (40), gate 2.00%"),
        (replace(GOOD, complaints=3), "a bad day: complaint rate 0.32% (3), gate 0.10%"),
    ],
)
def test_a_bad_day_takes_a_stage_back(figures: DayFigures, reason: str) -> None:
    assert after(figures) == Decision(Move.STEP_BACK, 1, Status.WARMING, reason)
    first = after(figures, Standing(1, Status.WARMING, DAY))
    assert (first.move, first.stage) == (Move.HOLD, 1)
    assert first.reason.startswith("a bad day at the first stage")


def test_one_case_is_chance() -> None:
    small = DayFigures(DAY, cap=20, attempted=20, delivered=19, blocked=1, deferred=1)
    assert after(small).move is Move.ADVANCE
    assert after(replace(small, blocked=2)).move is Move.HOLD
    assert after(replace(small, blocked=3)).move is Move.STEP_BACK
    assert after(replace(small, complaints=1)).move is Move.ADVANCE


@pytest.mark.parametrize("figures", [None, DayFigures(DAY, cap=1000)])
def test_a_day_without_attempts_holds(figures: DayFigures | None) -> None:
    assert after(figures) == Decision(Move.HOLD, 2, Status.WARMING, "nothing was sent")


@pytest.mark.parametrize(
    ("idle", "standing", "move"),
    [
        (29, Standing(3, Status.WARMING, None), Move.HOLD),
        (30, Standing(3, Status.WARMING, None), Move.RESTART),
        (30, Standing(5, Status.WARM, None), Move.RESTART),
        (30, Standing(1, Status.WARMING, None), Move.HOLD),
        (90, Standing(3, Status.HELD, None), Move.HOLD),
    ],
)
def test_a_long_idle_source_starts_again(idle: int, standing: Standing, move: Move) -> None:
    last = TODAY - timedelta(days=idle + 1)
    found = after(None, replace(standing, last_sent_on=last))
    assert found.move is move
    if move is Move.RESTART:
        assert (found.stage, found.status) == (1, Status.WARMING)
        assert found.reason == "nothing was sent for 30 days"


def test_what_never_sent_has_not_been_idle() -> None:
    assert after(None, Standing(3, Status.WARMING, None)).move is Move.HOLD


def test_what_a_person_holds_stays() -> None:
    held = Standing(2, Status.HELD, DAY)
    bad = replace(GOOD, blocked=500)
    assert {after(one, held).move for one in (GOOD, bad, None)} == {Move.HOLD}
    assert after(bad, held).status is Status.HELD


def test_a_warm_source_stays_warm() -> None:
    warm = Standing(5, Status.WARM, DAY)
    assert after(replace(GOOD, blocked=900), warm).status is Status.WARM


counts = st.integers(0, 5000)


@given(
    st.builds(
        DayFigures, st.just(DAY), counts, counts, counts, counts, counts, counts
    ),
    st.sampled_from(Status), st.integers(0, 20), st.integers(1, 12),
    st.none() | st.dates(DAY - timedelta(days=99), DAY),
)  # fmt: skip
def test_a_decision_moves_one_stage_at_most_and_stays_in_the_schedule(
    figures: DayFigures, status: Status, stage: int, stages: int, last: date | None
) -> None:
    found = decide(stages, GATES, Standing(stage, status, last), figures, TODAY)
    before = min(max(stage, 1), stages)
    assert 1 <= found.stage <= stages
    assert found.stage - before in {-1, 0, 1} or found.move is Move.RESTART
    assert (found.stage > before) == (found.move is Move.ADVANCE)
    assert found.reason
    assert found.reason.isprintable()
    if found.move in {Move.ADVANCE, Move.DONE}:
        assert figures.delivered >= 0.9 * figures.cap > 0


def test_what_an_attempt_adds() -> None:
    assert judged("delivered", "") == (1, 1, 0, 0)
    assert judged("deferred", "rate_limited") == (1, 0, 1, 0)
    assert judged("deferred", "reputation") == (1, 0, 1, 1)
    assert judged("bounced", "spam_content") == (1, 0, 0, 1)
    assert judged("bounced", "bad_mailbox") == (1, 0, 0, 0)
    assert judged("deferred", "quota") == (1, 0, 0, 0)
    assert judged("deferred", "greylisted") == (0, 0, 0, 0)
    assert judged("bounced", "dns") == (0, 0, 0, 0)
    assert judged("suppressed", "") == judged("postponed", "") == (0, 0, 0, 0)


def test_the_classes_are_known() -> None:
    assert set(BOUNCE_CLASSES) >= BLOCKS | MAILBOX | UNJUDGED
