"""Invariants of retry times and of site names."""

import random

from hypothesis import given
from hypothesis import strategies as st

from mta.policy.retry import RetrySchedule, next_attempt
from mta.policy.site import LIMIT, site_name

SCHEDULES = st.builds(
    RetrySchedule,
    steps=st.lists(st.floats(0.1, 1e5), min_size=1, max_size=6).map(tuple),
    ceiling=st.floats(0.1, 1e6),
    jitter=st.floats(0, 1),
    life=st.floats(1, 1e7),
)
HOSTS = st.from_regex(r"[a-c]{1,2}(\.[a-c]{1,2}){0,3}", fullmatch=True)


@given(SCHEDULES, st.integers(0, 10**9), st.floats(0, 2e7), st.none() | st.floats(0, 2e7))
def test_a_next_attempt_lies_ahead_and_within_life(schedule, attempts, now, expires_at) -> None:
    decision = next_attempt(
        schedule,
        attempts=attempts,
        created_at=0.0,
        expires_at=expires_at,
        now=now,
        rng=random.Random(attempts),
    )
    end = min(schedule.life, schedule.life if expires_at is None else expires_at)
    if decision.at is None:
        assert now + min(schedule.steps) >= end - 1e-6 or now >= end
    else:
        # Never at once: a schedule that spins would hammer a receiver.
        assert now + 0.05 < decision.at < end + 1e-6
    assert decision.reason


@given(st.lists(HOSTS, min_size=1, max_size=60), st.randoms())
def test_site_names_are_stable_and_bounded(hosts: list[str], rng: random.Random) -> None:
    name = site_name(hosts)
    assert 0 < len(name) <= LIMIT
    rng.shuffle(hosts)
    assert site_name([host.upper() + "." for host in hosts]) == name


@given(st.sets(HOSTS, min_size=1, max_size=4), st.sets(HOSTS, min_size=1, max_size=4))
def test_different_hosts_have_different_names(one: set[str], other: set[str]) -> None:
    assert (site_name(sorted(one)) == site_name(sorted(other))) == (one == other)
