"""take.lua and give_back.lua against the same rules written in Python, on a clock of the test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mta.limits import scripts
from mta.limits.egress import Bucket, Counter, Limits
from tests.services.redis import start_valkey

BUCKETS = [Bucket("a", 2.0, 5), Bucket("b", 0.3, 20), Bucket("c", 700.0, 1)]
COUNTERS = [Counter("d", 30, 3600), Counter("e", 9, 3600)]


@dataclass
class Model:
    """What GCRA and a cap mean, in plain Python."""

    now: int = 1_700_000_000_000_000
    tat: dict[str, int] = field(default_factory=dict)
    used: dict[str, int] = field(default_factory=dict)

    def take(self, want: int, buckets: list[Bucket], counters: list[Counter]) -> int:
        free = [want]
        for b in buckets:
            ahead = max(self.tat.get(b.key, 0), self.now) - self.now
            free.append((b.interval * b.burst - ahead) // b.interval)
        free += [max(0, c.limit - self.used.get(c.key, 0)) for c in counters]
        granted = min(free)
        for b in buckets:
            self.tat[b.key] = max(self.tat.get(b.key, 0), self.now) + granted * b.interval
        for c in counters:
            self.used[c.key] = self.used.get(c.key, 0) + granted
        return granted

    def give_back(self, count: int, buckets: list[Bucket], counters: list[Counter]) -> None:
        for b in buckets:
            self.tat[b.key] = max(self.now, self.tat.get(b.key, 0) - count * b.interval)
        for c in counters:
            self.used[c.key] = max(0, self.used.get(c.key, 0) - count)


class ClockedLimits(Limits):
    """Limits whose scripts read their time from a key; nothing expires by the real clock."""

    def __init__(self, client: redis.Redis, prefix: str) -> None:
        super().__init__(client, prefix)
        self.clock = prefix + "clock"
        for name in ("take", "give_back"):
            lua = scripts.source(name)
            for real, tested in (
                ("redis.call('TIME')", f"{{0, redis.call('GET', '{self.clock}')}}"),
                ("'PX', math.ceil((tat - now) / 1000) + 1", "'EX', 3600"),
            ):
                assert real in lua
                lua = lua.replace(real, tested)
            setattr(self, f"_{name}", client.register_script(lua))


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[redis.Redis]:
    server = start_valkey(Path(tmp_path_factory.mktemp("valkey")))
    with redis.Redis.from_url(server.url) as found:
        yield found
    server.stop()


STEPS = st.tuples(
    st.sampled_from(["take", "take", "take", "give_back"]),
    st.integers(0, 30),
    st.lists(st.sampled_from(BUCKETS), unique=True, max_size=3),
    st.lists(st.sampled_from(COUNTERS), unique=True, max_size=2),
    st.integers(0, 8_000_000) | st.sampled_from([0, 1, 1428, 1429, 499_999, 500_000, 500_001]),
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(STEPS, min_size=1, max_size=15))
def test_lua_grants_what_the_model_grants(client: redis.Redis, steps) -> None:
    limits, model = ClockedLimits(client, f"{uuid.uuid4().hex}:"), Model()
    for action, count, buckets, counters, pause in steps:
        model.now += pause
        client.set(limits.clock, model.now)
        if action == "give_back":
            limits.give_back(count, buckets=buckets, counters=counters)
            model.give_back(count, buckets, counters)
            continue
        grant = limits.take(count, buckets=buckets, counters=counters)
        assert grant.granted == model.take(count, buckets, counters)
        assert (grant.limited_by == "") == (grant.granted == count)
        assert (grant.retry_in > 0) == (grant.granted < count)
        assert limits.used(counters) == [model.used[c.key] for c in counters]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from(BUCKETS), st.integers(1, 30), st.integers(0, 3_000_000))
def test_retry_in_is_exact(client: redis.Redis, bucket: Bucket, want: int, pause: int) -> None:
    limits, now = ClockedLimits(client, f"{uuid.uuid4().hex}:"), Model().now
    client.set(limits.clock, now)
    limits.take(bucket.burst, buckets=[bucket])
    client.set(limits.clock, now + pause)
    grant = limits.take(want + bucket.burst, buckets=[bucket])
    assert grant.limited_by == bucket.key
    due = now + pause + round(grant.retry_in * 1_000_000)
    client.set(limits.clock, due - 1)
    assert limits.take(1, buckets=[bucket]).granted == 0
    client.set(limits.clock, due)
    assert limits.take(1, buckets=[bucket]).granted == 1
