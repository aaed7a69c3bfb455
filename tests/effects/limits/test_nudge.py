"""The doorbell on a real server: prompt, coalesced, and never lost."""

from __future__ import annotations

import statistics
import threading
import time

import pytest
import redis

from mta.limits.nudge import Nudge


def test_many_rings_are_one_wake(client: redis.Redis, prefix: str) -> None:
    bell = Nudge(client, prefix=prefix)
    assert bell.wait(0) is False
    for _ in range(10):
        bell.ring()
    assert bell.wait(5) is True
    assert bell.wait(0) is False
    assert bell.wait(0.01) is False


def test_a_ring_during_the_work_wakes_again(client: redis.Redis, prefix: str) -> None:
    bell = Nudge(client, prefix=prefix)
    bell.ring()
    assert bell.wait(5) is True
    bell.ring()  # the work of the first wake has begun: it may not see this
    assert bell.wait(0) is True


def test_bells_do_not_mix(client: redis.Redis, prefix: str) -> None:
    Nudge(client, "one", prefix=prefix).ring()
    assert Nudge(client, "two", prefix=prefix).wait(0) is False
    assert Nudge(client, "one", prefix=prefix).wait(0) is True


def test_a_waiter_wakes_at_once(client: redis.Redis, prefix: str) -> None:
    bell = Nudge(client, prefix=prefix)
    delays, woken, go = [], [0.0], threading.Semaphore(0)

    def waiter() -> None:
        for _ in range(50):
            assert bell.wait(30)
            woken[0] = time.perf_counter()
            go.release()

    thread = threading.Thread(target=waiter)
    thread.start()
    for _ in range(50):
        rung = time.perf_counter()
        bell.ring()
        assert go.acquire(timeout=30)
        delays.append(woken[0] - rung)
    thread.join(30)
    # Typically 0.3 ms; the bound leaves room for a busy machine and none for a polling loop.
    assert statistics.median(delays) < 0.02


def test_no_wake_up_is_lost_between_ringers_and_a_worker(client: redis.Redis, prefix: str) -> None:
    bell = Nudge(client, prefix=prefix)
    total, threads = 400, []
    done, seen = prefix + "queued", 0

    def ringer() -> None:
        for _ in range(total // 4):
            client.incr(done)  # the work
            bell.ring()

    for _ in range(4):
        threads.append(threading.Thread(target=ringer))
        threads[-1].start()
    while seen < total:
        assert bell.wait(10), "work was left and nobody rang"
        seen = int(client.get(done) or 0)
    for thread in threads:
        thread.join(30)


def test_a_short_wait_is_not_rounded_up(client: redis.Redis, prefix: str) -> None:
    bell = Nudge(client, prefix=prefix)
    spans = []
    for _ in range(30):
        began = time.perf_counter()
        assert bell.wait(0.02) is False
        spans.append(time.perf_counter() - began)
    # Redis itself ends a blocking call up to 100 ms late; half of them are late by 50 ms then.
    assert statistics.median(spans) < 0.05
    bell.ring()
    assert bell.wait(5) is True
    assert bell.wait(0) is False


def test_a_lost_connection_is_told_and_the_next_wait_asks_anew(
    client: redis.Redis, prefix: str
) -> None:
    bell = Nudge(client, prefix=prefix)
    assert bell.wait(0.01) is False
    for each in client.client_list():
        if each["cmd"] == "blpop":
            client.client_kill_filter(_id=each["id"])
    with pytest.raises(redis.RedisError):
        bell.wait(5)
    bell.ring()
    assert bell.wait(5) is True
