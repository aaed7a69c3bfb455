"""A warmup played day by day: nothing is lost, nothing exceeds its cap, and it ends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mta.policy.simulate import MOST_DAYS, Plan, Receivers, SimulationError, simulate
from mta.policy.warmup import load_templates
from mta.policy.warmup_gate import Move

SURE = Receivers(delivered=1.0, deferred=0.0)
PLAN = Plan((50, 100, 200), daily={"google": 500}, receivers=SURE, days=6)


def played(plan: Plan, name: str) -> list[Any]:
    return [getattr(day.providers[0], name) for day in simulate(plan).days]


def test_the_excess_waits() -> None:
    assert played(PLAN, "cap") == [50, 100, 200, None, None, None]
    assert played(PLAN, "cold") == [50, 100, 200, 1650, 500, 500]
    assert played(PLAN, "waiting") == [450, 850, 1150, 0, 0, 0]
    assert simulate(PLAN).warm_from == {"google": 4}


def test_the_excess_overflows() -> None:
    plan = replace(PLAN, overflow=True, spread_hours=0)
    assert played(plan, "cold") == [50, 100, 200, 500, 500, 500]
    assert played(plan, "overflow") == [450, 400, 300, 0, 0, 0]
    assert set(played(plan, "waiting")) == {0}


def test_a_blast_that_overflows_leaves_the_cold_source_an_hours_share() -> None:
    # Who has an overflow and sends all at once does not fill the stage: it never advances.
    plan = replace(PLAN, overflow=True, arrival_hours=0, spread_hours=10)
    assert played(plan, "cold") == [5] * 6
    assert played(plan, "stage") == [1] * 6
    assert (
        simulate(plan).days[0].providers[0].decision.reason == "5 of 50 delivered, 90% are needed"
    )


def test_a_campaign_ends() -> None:
    plan = Plan((50, 100, 200), campaign={"google": 300, "yahoo": 40}, receivers=SURE)
    found = simulate(plan)
    assert found.campaign_ends == 3
    assert [day.total("cold") for day in found.days] == [90, 100, 150]
    assert [day.total("waiting") for day in found.days] == [250, 150, 0]


def test_two_sources_send_twice_as_much() -> None:
    plan = replace(PLAN, sources=2)
    assert played(plan, "cold")[:3] == [100, 200, 400]


def test_too_little_mail_does_not_advance() -> None:
    plan = replace(PLAN, daily={"google": 44})
    assert played(plan, "stage") == [1] * 6
    assert played(replace(PLAN, daily={"google": 45}), "stage")[:3] == [1, 2, 2]


def test_a_bad_day_steps_back_and_it_comes_again() -> None:
    plan = replace(
        PLAN, daily={"google": 5000}, bad_days=frozenset({3}), stages=(50, 100, 200, 400)
    )
    assert played(plan, "stage") == [1, 2, 3, 2, 3, 4]
    assert simulate(plan).days[2].providers[0].decision.move is Move.STEP_BACK


def test_mail_that_is_never_taken_does_not_end() -> None:
    never = Receivers(delivered=0.0, deferred=1.0)
    found = simulate(Plan((50,), campaign={"google": 10}, receivers=never))
    assert found.campaign_ends is None
    assert len(found.days) == MOST_DAYS


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"stages": ()}, "give at least one stage"),
        ({"daily": {}}, "give messages a day, or a campaign"),
        ({"daily": {"google": -1, "yahoo": 5}}, "messages must be 0 or more"),
        ({"sources": 0}, "at least one source"),
        ({"spread_hours": 25}, "0 to 24 hours"),
        ({"days": MOST_DAYS + 1}, f"0 to {MOST_DAYS} days"),
        ({"receivers": Receivers(0.9, 0.2)}, "shares are 0 to 1"),
    ],
)
def test_a_plan_that_cannot_be_played_is_refused(values: dict[str, Any], problem: str) -> None:
    with pytest.raises(SimulationError, match=problem):
        replace(PLAN, **values)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(load_templates())), st.integers(0, 10**6), st.integers(0, 10**6),
    st.integers(1, 5), st.booleans(), st.integers(0, 24), st.integers(0, 24),
    st.frozensets(st.integers(1, 40), max_size=4),
)  # fmt: skip
def test_nothing_is_lost_and_no_cap_is_exceeded(
    name: str, daily: int, campaign: int, sources: int, overflow: bool, spread: int,
    arrival: int, bad: frozenset[int],
) -> None:  # fmt: skip
    plan = Plan(
        load_templates()[name], {"a": daily}, {"a": campaign + 1}, sources, spread, arrival,
        overflow, receivers=Receivers(0.97, 0.0), bad_days=bad, days=40,
    )  # fmt: skip
    found = simulate(plan)
    waiting = 0
    for day in found.days:
        (one,) = day.providers
        assert one.cold + one.overflow + one.waiting == waiting + one.came
        assert one.cap is None or one.cold <= one.cap
        assert min(one.cold, one.overflow, one.waiting) >= 0
        assert 1 <= one.stage <= len(plan.stages)
        waiting = one.waiting
    came = sum(day.total("came") for day in found.days)
    assert came == 40 * daily + campaign + 1
