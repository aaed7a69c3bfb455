"""The goals of adaptive throttling, in simulated time, against receivers with a hidden limit."""

from __future__ import annotations

import random

import pytest

from mta.policy import throttle_rate
from tests.simulation.receiver import Receiver
from tests.simulation.sender import Sender

HALF_AN_HOUR = 1800.0
#: Connections and seconds a message.
FEW, MANY, SLOW = (5, 0.05), (20, 0.1), (20, 1.0)


def simulated(
    receiver: Receiver, ways: tuple[int, float], *, seconds: float, closes: bool = True
) -> Sender:
    connections, latency = ways
    sender = Sender(
        receiver, random.Random(7), connections=connections, latency=latency, closes=closes,
        full=max(100.0, receiver.limit / 30),
    )  # fmt: skip
    sender.run(seconds)
    return sender


def share(receiver: Receiver, begin: float, end: float) -> float:
    """What was taken of what is permitted."""
    count = sum(begin <= at < end for at in receiver.taken)
    return count / (receiver.permitted(begin) * (end - begin) / receiver.window)


def deferred(receiver: Receiver, begin: float, end: float) -> float:
    bad = sum(begin <= at < end for at in receiver.refused)
    return bad / max(1, bad + sum(begin <= at < end for at in receiver.taken))


@pytest.mark.parametrize("kind", ["fixed", "sliding"])
@pytest.mark.parametrize(
    ("limit", "ways"), [(30, FEW), (30, MANY), (100, SLOW), (600, MANY), (600, FEW), (6000, MANY)]
)
def test_a_hidden_limit_is_found_and_used(kind: str, limit: int, ways: tuple[int, float]) -> None:
    receiver = Receiver(limit, kind)
    simulated(receiver, ways, seconds=HALF_AN_HOUR)
    assert deferred(receiver, 300, HALF_AN_HOUR) <= 0.05
    assert share(receiver, 300, HALF_AN_HOUR) >= 0.95


@pytest.mark.parametrize("kind", ["fixed", "sliding"])
def test_a_receiver_that_keeps_the_connection_costs_no_more(kind: str) -> None:
    receiver = Receiver(600, kind)
    simulated(receiver, FEW, seconds=HALF_AN_HOUR, closes=False)
    assert deferred(receiver, 300, HALF_AN_HOUR) <= 0.05
    assert share(receiver, 300, HALF_AN_HOUR) >= 0.95


@pytest.mark.parametrize(("begin", "end"), [(900.0, 2700.0), (120.0, 3720.0)])
@pytest.mark.parametrize("limit", [60, 600])
def test_the_full_rate_is_back_ten_minutes_behind_a_block(
    begin: float, end: float, limit: int
) -> None:
    receiver = Receiver(limit, "sliding", blocks=[(begin, end)])
    simulated(receiver, FEW, seconds=end + 1500)
    assert share(receiver, end + 600, end + 1500) >= 0.95
    assert sum(begin <= at < end for at in receiver.refused) < 40


def test_a_limit_that_rises_is_found() -> None:
    receiver = Receiver(100, "sliding", changes=[(1800.0, 200)])
    simulated(receiver, FEW, seconds=4800)
    assert share(receiver, 3300, 4800) >= 0.95


def test_a_limit_that_falls_is_found() -> None:
    receiver = Receiver(600, "sliding", changes=[(1800.0, 100)])
    simulated(receiver, FEW, seconds=3600)
    assert share(receiver, 2100, 3600) >= 0.9
    assert deferred(receiver, 2100, 3600) <= 0.05


def test_a_limit_an_hour_is_found() -> None:
    receiver = Receiver(1000, "fixed", window=3600.0)
    simulated(receiver, FEW, seconds=6 * 3600)
    assert deferred(receiver, 300, 6 * 3600) <= 0.05
    assert share(receiver, 3600, 6 * 3600) >= 0.9


def test_without_a_limit_nothing_is_throttled() -> None:
    receiver = Receiver(10_000_000)
    sender = simulated(receiver, FEW, seconds=60)
    assert sender.state is None
    assert not receiver.refused


def test_the_pause_doubles_until_a_try_is_taken() -> None:
    rate = throttle_rate.refused(throttle_rate.begun(10.0, ((0, 60),), 1_000), 1_000)
    pauses = []
    now = 1_000
    for _ in range(10):
        pauses.append(rate.pause)
        now = rate.until
        rate = throttle_rate.refused(rate, now)
    assert pauses == [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 128_000, 256_000, 300_000]
    rate = throttle_rate.accepted(rate, ((rate.until, 1),), rate.until)
    assert not rate.trying
    assert rate.per_second() < 1


def test_what_was_under_way_when_the_round_ended_changes_nothing() -> None:
    first = throttle_rate.refused(throttle_rate.begun(10.0, ((0, 60),), 1_000), 1_000)
    again = throttle_rate.refused(first, 1_500)
    assert (again.pause, again.until) == (first.pause, first.until)
    taken = throttle_rate.accepted(first, ((1_500, 1),), 1_500)
    assert taken.trying


def test_a_rate_that_is_not_used_does_not_grow_above_its_ceiling() -> None:
    rate = throttle_rate.refused(throttle_rate.begun(10.0, ((0, 60),), 1_000), 1_000)
    rate = throttle_rate.accepted(rate, ((2_000, 1),), 2_000)
    idle = throttle_rate.advance(rate, 3_600_000)
    assert idle.per_second() <= idle.ceiling
