"""The arithmetic of the benchmarks: what is counted, what is a percentile, what meets a goal."""

from __future__ import annotations

from statistics import fmean

import pytest

from tests.bench.crowd import Crowd, Tally, tally
from tests.bench.fairness import rate, taken_before
from tests.bench.goals import GOALS, Goal, figure, judge
from tests.bench.limits import ratios, told, turns
from tests.bench.measure import Measured
from tests.bench.options import BENCHES
from tests.bench.percentiles import delays, percentile, summary


def test_readers_of_a_crowd_are_different_and_take_turns_at_its_domains() -> None:
    assert list(Crowd(2, "x")) == ["1x@sink.test", "2x@sink.test"]
    spread = list(Crowd(4, "y", "many.test", spread=2))
    assert spread == [
        "1y@d1.many.test", "2y@d0.many.test", "3y@d1.many.test", "4y@d0.many.test",
    ]  # fmt: skip


def test_a_tally_sees_what_is_lost_and_what_is_doubled() -> None:
    accepted = {"1x@sink.test": 1, "2x@sink.test": 3, "1other@sink.test": 9}
    assert tally(Crowd(4, "x"), accepted) == Tally(taken=2, lost=2, doubled=2)
    assert tally(Crowd(4, "x"), accepted, still_waiting=2) == Tally(2, 0, 2)


@pytest.mark.parametrize(
    ("share", "expected"), [(1, 10), (50, 20), (66, 20), (67, 30), (99, 30), (100, 30)]
)
def test_a_percentile_is_a_value_of_the_sample(share: int, expected: int) -> None:
    assert percentile([30, 10, 20], share) == expected


def test_an_empty_sample_has_no_percentiles_and_a_summary_of_nothing() -> None:
    with pytest.raises(ValueError, match="empty"):
        percentile([], 50)
    empty = {"n": 0, "p50_ms": None, "p95_ms": None, "p99_ms": None, "max_ms": None}
    assert summary([]) == empty


def test_a_delay_is_from_the_chosen_instant_to_the_stamp() -> None:
    instants = {"a": (1_000_000, 3_000_000), "b": (1_000_000, 9_000_000), "lost": (1, 2)}
    stamps = {"a": 5_000_000, "b": 8_000_000}
    assert delays(instants, stamps, 0) == [4.0, 7.0]
    assert delays(instants, stamps, 1) == [2.0, 0.0]


RATIO = Goal("campaign", "rate", "ratio", 10, "x", least=True, digits=1)
COST = Goal("backlog", "cost", "due.cpu_ratio", 1.2, "x", digits=2, size=("waiting", 1000))


@pytest.mark.parametrize(
    ("goal", "line", "met"),
    [
        (RATIO, {"ratio": 10.0}, "yes"),
        (RATIO, {"ratio": 9.99}, "no"),
        (RATIO, {"ratio": None}, "not measured"),
        (COST, {"due": {"cpu_ratio": 1.2}, "conditions": {"waiting": 1000}}, "yes"),
        (COST, {"due": {"cpu_ratio": 1.21}, "conditions": {"waiting": 1000}}, "no"),
        (COST, {"due": {"cpu_ratio": 0.5}, "conditions": {"waiting": 999}}, "only 999 waiting"),
    ],
)
def test_a_goal_is_met_at_its_bound_and_never_at_a_smaller_size(
    goal: Goal, line: dict[str, object], met: str
) -> None:
    assert judge(goal, line).met == met


def test_a_figure_that_is_not_there_is_none() -> None:
    assert figure({"a": {"b": 0}}, "a.b") == 0
    assert figure({"a": None}, "a.b.c") is None


def test_every_bench_has_a_goal() -> None:
    benches = {goal.bench for goal in GOALS}
    assert benches == set(BENCHES)


def test_what_others_got_meanwhile_is_counted_between_the_202_and_the_message() -> None:
    stamps = {"a": 10, "mine": 20, "b": 30, "c": 40, "mine2": 50, "lost2": 60}
    # (sent, accepted): nothing came before the first, b and c before the second.
    instants = {"mine": (5, 15), "mine2": (15, 25), "lost": (1, 2)}
    assert taken_before(instants, stamps) == [0, 2]


def test_a_message_that_came_before_its_202_was_read_waited_for_nobody() -> None:
    assert taken_before({"mine": (5, 25)}, {"mine": 20, "a": 22}) == [0]


def test_a_rate_needs_two_messages() -> None:
    assert rate([7]) is None
    assert rate([0, 200_000_000, 400_000_000]) == 5.0


def test_limits_are_judged_by_all_their_turns() -> None:
    def run(msgs: float, cpu: float) -> Measured:
        return Measured(msgs, {"deliver": cpu, "sink": 9.0}, 800, 0, 0, 3000, 0.1)

    parts = {"off": told([run(4000, 0.2), run(4000, 0.4)]), "on": told([run(3000, 0.33)])}
    assert ratios(parts) == {"rate_ratio": 0.75, "cpu_ratio": 1.1}
    assert parts["off"]["each_cpu_ms_per_msg"] == [0.2, 0.4]


@pytest.mark.parametrize("rounds", [1, 2, 5])
def test_turns_without_limits_stand_on_both_sides_of_those_with(rounds: int) -> None:
    order = turns(rounds)
    places = {state: [at for at, one in enumerate(order) if one == state] for state in order}
    assert len(places["on"]) == rounds
    assert len({fmean(found) for found in places.values()}) == 1, "drift weighs on one of them more"
