"""When a lane may start its next batch: at once on an idle system, with company on a busy one."""

from __future__ import annotations

import pytest

from tasks.pacing import BUSY, HOLD_SECONDS, LITTLE, REST_SECONDS, Pacing


class Clock:
    """A clock that stands still until it is told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pacing(clock: Clock) -> Pacing:
    return Pacing(clock)


def make_busy(pacing: Pacing) -> None:
    pacing.started(99, BUSY, full=True, more=True)


def test_an_idle_system_starts_everything_at_once(pacing: Pacing) -> None:
    assert pacing.may_start(1)
    pacing.started(1, 1, full=False, more=False)
    assert pacing.may_start(1)
    assert pacing.rest() == 0
    assert pacing.next_release() == float("inf")


def test_a_small_batch_on_a_busy_system_holds_its_lane(pacing: Pacing, clock: Clock) -> None:
    make_busy(pacing)
    pacing.started(1, 3, full=False, more=False)
    assert not pacing.may_start(1)
    assert pacing.may_start(2), "another lane"
    assert pacing.next_release() == pytest.approx(HOLD_SECONDS)
    assert pacing.rest() == REST_SECONDS
    clock.now += HOLD_SECONDS
    assert pacing.may_start(1)
    assert pacing.next_release() == float("inf")


def test_a_full_batch_holds_nothing(pacing: Pacing) -> None:
    make_busy(pacing)
    pacing.started(1, 100, full=True, more=True)
    assert pacing.may_start(1)
    assert pacing.has_more(1)
    assert not pacing.has_more(2)


def test_a_second_of_quiet_is_idle_again(pacing: Pacing, clock: Clock) -> None:
    make_busy(pacing)
    pacing.started(1, 1, full=False, more=False)
    assert pacing.busy()
    clock.now += 1.0
    assert not pacing.busy()
    pacing.started(1, 1, full=False, more=False)
    assert pacing.may_start(1)


def test_what_is_remembered_is_bounded(pacing: Pacing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.pacing.MOST_LANES", 3)
    for lane in (1, 2, 3, 1, 4):
        pacing.started(lane, 1, full=False, more=True)
    assert list(pacing.lanes) == [3, 1, 4]


def test_who_sends_little_is_light_until_it_is_much() -> None:
    clock = Clock()
    pacing = Pacing(clock)
    assert pacing.light(1, LITTLE)
    assert not pacing.light(1, 1)
    assert pacing.light(2, 1), "each tenant by itself"
    clock.now += 1.0
    assert pacing.light(1, 1)
    assert not pacing.light(3, LITTLE + 1)
