"""When waiting mail is gone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.policy.forecast import DAY, Ending, Queue, SourceRate, Warming, ending

FAST = SourceRate("warm", 10.0, "messages_per_second")
HOUR = 3600.0


def cold(stage: int = 1, used: int = 0, **values: object) -> SourceRate:
    warming = Warming((50, 100, 200), stage, used, **values)  # type: ignore[arg-type]  # by the test
    return SourceRate("cold", 10.0, "messages_per_second", warming)


def seconds(queue: Queue, *, rising: bool = True, to_midnight: float = 10 * HOUR) -> float:
    found = ending(queue, to_midnight, rising=rising).seconds
    assert found is not None
    return found


def test_a_rate_alone() -> None:
    found = ending(Queue(1000, (FAST,)), HOUR, rising=True)
    assert found.seconds == pytest.approx(100)
    assert found.limited_by == "messages_per_second"
    assert seconds(Queue(1000, (FAST, FAST))) == pytest.approx(50)


def test_a_rate_goes_on_over_midnight() -> None:
    assert seconds(Queue(1000, (FAST,)), to_midnight=60) == pytest.approx(100)


def test_nothing_waits() -> None:
    assert ending(Queue(0, ()), HOUR, rising=True) == Ending(0.0, "")


def test_no_source() -> None:
    assert ending(Queue(1, ()), HOUR, rising=True) == Ending(None, "no source may send")


def test_stages_rise_or_stay() -> None:
    # 50 today, 100 tomorrow, 10 on the day after.
    queue = Queue(160, (cold(),))
    assert seconds(queue) == pytest.approx(10 * HOUR + DAY + 1, abs=0.1)
    # 50 a day: 50, 50, 50, 10.
    assert seconds(queue, rising=False) == pytest.approx(10 * HOUR + 2 * DAY + 1, abs=0.1)
    assert ending(queue, HOUR, rising=True).limited_by == "warmup"


def test_what_is_used_of_today_is_gone() -> None:
    assert seconds(Queue(10, (cold(used=40),))) == pytest.approx(1, abs=0.01)
    assert seconds(Queue(11, (cold(used=40),))) > 10 * HOUR
    assert seconds(Queue(11, (cold(used=90),))) > 10 * HOUR


def test_a_stage_that_a_person_holds_does_not_rise() -> None:
    queue = Queue(160, (cold(held=True),))
    assert seconds(queue) == seconds(queue, rising=False)


def test_before_its_first_day_nothing_goes() -> None:
    queue = Queue(60, (cold(begins_in=2),))
    assert seconds(queue) == pytest.approx(10 * HOUR + 2 * DAY + 1, abs=0.1)
    assert seconds(queue, rising=False) == pytest.approx(10 * HOUR + 2 * DAY + 1, abs=0.1)


def test_after_the_last_stage_only_the_rate_is_left() -> None:
    queue = Queue(10_000, (cold(stage=3),))
    assert seconds(queue) == pytest.approx(10 * HOUR + 980, abs=0.1)


def test_the_spread_is_a_rate() -> None:
    # 50 over 10 hours is 5 an hour.
    found = ending(Queue(10, (cold(spread_hours=10),)), 20 * HOUR, rising=True)
    assert found.seconds == pytest.approx(2 * HOUR, rel=1e-3)
    assert found.limited_by == "warmup"


def test_a_day_too_short_for_its_stage_does_not_raise_it() -> None:
    # One hour of ten is left of today: 5 of 50 go, and the stage stays for tomorrow.
    queue = Queue(105, (cold(spread_hours=10),))
    assert seconds(queue, to_midnight=HOUR) == pytest.approx(HOUR + DAY + 5 * HOUR, rel=1e-3)


def test_a_warm_source_beside_a_cold_one_takes_the_rest() -> None:
    assert seconds(Queue(1050, (cold(), FAST))) == pytest.approx(100, abs=0.1)


def test_retries_wait_for_their_time() -> None:
    found = ending(Queue(10, (FAST,), not_before=500), HOUR, rising=True)
    assert found == Ending(500, "retries")


def test_what_takes_years_is_not_told() -> None:
    assert ending(Queue(10**9, (cold(),)), HOUR, rising=False).seconds is None


@given(
    st.integers(1, 10**6), st.floats(0.001, 1000), st.integers(1, 4), st.integers(0, 300),
    st.integers(0, 24), st.floats(0, DAY),
)  # fmt: skip
def test_rising_stages_never_end_later(
    waiting: int, rate: float, stage: int, used: int, hours: int, left: float
) -> None:
    warming = Warming((50, 100, 200), stage, used, hours)
    queue = Queue(waiting, (SourceRate("cold", rate, "rate", warming),))
    rising = ending(queue, left, rising=True).seconds
    staying = ending(queue, left, rising=False).seconds
    if staying is not None:
        assert rising is not None
        assert rising <= staying + 1e-3
    if rising is not None:
        assert rising >= waiting / rate * 0.999
