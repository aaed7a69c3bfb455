"""States of egress paths on a real server: no update is lost, everything ends."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator

import pytest
import redis

from mta.limits.egress import Bucket, Limits
from mta.limits.paths import Paths
from tests.services.processes import wait_until


@pytest.fixture
def paths(redis_url: str) -> Iterator[Paths]:
    with redis.Redis.from_url(redis_url) as client:
        yield Paths(client, f"test-{uuid.uuid4().hex}:")


def test_a_state_is_changed_only_by_who_knows_it(paths: Paths) -> None:
    assert paths.swap("a|b", "", "one", 60_000)
    assert not paths.swap("a|b", "", "two", 60_000)
    assert not paths.swap("a|b", "other", "two", 60_000)
    assert paths.swap("a|b", "one", "two", 60_000)
    assert paths.read(["a|b", "none"]).texts == {"a|b": "two"}
    assert paths.keys() == ["a|b"]


def test_a_state_that_is_over_leaves_nothing(paths: Paths) -> None:
    paths.swap("a|b", "", "one", 60_000)
    assert paths.swap("a|b", "one", "", 1)
    assert paths.read(["a|b"]).texts == {}
    assert paths.keys() == []


def test_a_state_ends_by_itself_and_leaves_the_index(paths: Paths) -> None:
    paths.swap("short", "", "one", 20)
    paths.swap("long", "", "one", 60_000)
    assert wait_until(lambda: not paths.read(["short"]).texts, 5, "the end of the state")
    assert wait_until(lambda: paths.keys() == ["long"], 5, "the end of its name")
    assert paths.all().texts == {"long": "one"}


def test_many_writers_lose_no_update(paths: Paths) -> None:
    def add() -> None:
        for _ in range(50):
            while True:
                old = paths.read(["n"]).texts.get("n", "")
                if paths.swap("n", old, str(int(old or 0) + 1), 60_000):
                    break

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert paths.read(["n"]).texts == {"n": "200"}


def test_replies_reach_their_threshold_and_count_anew(paths: Paths) -> None:
    assert [paths.strike("r", 1, 3, 60) for _ in range(4)] == [False, False, True, False]
    assert paths.strike("r", 2, 3, 60)
    assert paths.strike("many", 9, 3, 60)


def test_a_count_of_replies_ends_with_its_window(paths: Paths, redis_url: str) -> None:
    assert not paths.strike("r", 2, 3, 0.02)
    with redis.Redis.from_url(redis_url) as client:
        assert wait_until(lambda: not list(client.scan_iter(f"{paths._replies}*")), 5, "the end")
    assert not paths.strike("r", 2, 3, 60)


def test_a_bucket_that_owed_at_a_slow_rate_begins_anew(paths: Paths, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        limits = Limits(client, paths._prefix)
        assert limits.take(1, buckets=[Bucket("throttle:a:b", 0.1, 1)]).granted == 1
        fast = Bucket("throttle:a:b", 50.0, 10)
        assert limits.take(1, buckets=[fast]).granted == 0, "it owes ten seconds"
        paths.refill(fast)
        level = limits.peek([fast.key])[fast.key]
        assert (level.interval, level.burst) == (0.02, 10)
        assert limits.take(99, buckets=[fast]).granted == 10
