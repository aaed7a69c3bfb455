"""When mail is tried again: the steps, the doubling, the ceiling and the end of life."""

import random

import pytest

from mta.policy.retry import RetrySchedule, next_attempt, parse_schedule, wait_after

NO_JITTER = RetrySchedule(jitter=0.0)
RNG = random.Random(1)


def decide(attempts: int, *, now: float = 1000.0, expires_at: float | None = None, **fields):
    schedule = RetrySchedule(**{"jitter": 0.0, **fields})
    return next_attempt(
        schedule, attempts=attempts, created_at=1000.0, expires_at=expires_at, now=now, rng=RNG
    )


def test_waits_follow_the_steps_then_double_to_the_ceiling() -> None:
    waits = [wait_after(NO_JITTER, attempts) for attempts in range(1, 10)]
    assert waits == [60, 300, 900, 1800, 3600, 7200, 14400, 14400, 14400]
    assert wait_after(NO_JITTER, 10_000) == 14400


def test_no_attempt_behind_counts_as_the_first() -> None:
    assert decide(0).at == decide(1).at == 1060


def test_jitter_only_lengthens() -> None:
    schedule = RetrySchedule(jitter=0.1)
    times = [
        next_attempt(schedule, attempts=1, created_at=0, expires_at=None, now=0, rng=RNG).at
        for _ in range(200)
    ]
    assert all(at is not None and 60 <= at <= 66 for at in times)
    assert len(set(times)) > 100


def test_life_ends() -> None:
    assert decide(9, now=1000 + 432000).at is None
    assert "ran out" in decide(9, now=1000 + 432000).reason


def test_a_wait_past_the_end_becomes_a_last_try() -> None:
    assert decide(9, now=1000 + 432000 - 3600).at == 1000 + 432000 - 1


def test_no_last_try_when_the_end_is_near() -> None:
    assert decide(9, now=1000 + 432000 - 30).at is None


def test_short_steps_never_spin() -> None:
    decision = decide(5, now=1009.6, expires_at=1010, steps=(0.2,), ceiling=1)
    assert decision.at == pytest.approx(1009.8)


def test_expires_at_shortens_life_and_never_lengthens_it() -> None:
    assert decide(1, expires_at=1050).at is None
    assert decide(1, expires_at=1100).at == 1060
    assert decide(9, now=1000 + 432000, expires_at=9e9).at is None


def test_parse_schedule() -> None:
    assert parse_schedule("1m,5m, 15m,1.5h,30s,1d") == (60, 300, 900, 5400, 30, 86400)


@pytest.mark.parametrize(
    "text", ["", "5", "m", "1m,,2m", "-1m", "0s", "1w", "1m 2m", "nan", "1e3s"]
)
def test_nonsense_is_no_schedule(text: str) -> None:
    with pytest.raises(ValueError, match="write a number"):
        parse_schedule(text)


@pytest.mark.parametrize(
    "fields", [{"steps": ()}, {"steps": (0,)}, {"jitter": 2}, {"ceiling": 0}, {"life": 0}]
)
def test_a_schedule_refuses_nonsense(fields) -> None:
    with pytest.raises(ValueError, match=r"steps|ceiling"):
        RetrySchedule(**fields)
