"""A process that keeps ending is started less and less often, a healthy one at once again."""

from mta.supervise.backoff import Restart, next_restart


def test_waits_double_up_to_the_ceiling() -> None:
    failures, waits = 0, []
    for _ in range(8):
        restart = next_restart(failures, ran_for=0.5)
        failures = restart.failures
        waits.append(restart.after)
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]


def test_a_healthy_minute_forgets_the_failures() -> None:
    assert next_restart(7, ran_for=59.9).after == 30
    assert next_restart(7, ran_for=60.0) == Restart(after=1.0, failures=1)


def test_a_year_of_failures_does_not_overflow() -> None:
    assert next_restart(1_000_000, ran_for=0.0) == Restart(after=30.0, failures=1_000_001)
