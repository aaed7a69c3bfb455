"""What is remembered for a while, and what is counted, on a real server."""

from __future__ import annotations

import redis

from mta.limits.counters import Counters
from mta.limits.memory import Memory
from tests.services.processes import wait_until


def test_memory(client: redis.Redis, prefix: str) -> None:
    memory = Memory(client, prefix)
    memory.remember("a", 60)
    memory.remember("b", 60, "äöü")
    assert memory.recall("a") == "1"
    assert memory.recall_many(["b", "c", "a"]) == {"b": "äöü", "c": None, "a": "1"}
    memory.forget("a")
    memory.forget("a")
    memory.remember("b", 0)
    assert memory.recall_many(["a", "b"]) == {"a": None, "b": None}
    assert memory.recall_many([]) == {}


def test_memory_ends(client: redis.Redis, prefix: str) -> None:
    memory = Memory(client, prefix)
    memory.remember("a", 0.0001)
    wait_until(lambda: memory.recall("a") is None, 5, "the end of a memory")


def test_counters(client: redis.Redis, prefix: str) -> None:
    counters = Counters(client, prefix + "counters")
    counters.add({"delivered": 3, "deferred": 0, "bounced.quota": 1})
    counters.add({"delivered": 2})
    counters.add({})
    assert counters.read() == {"bounced.quota": 1, "delivered": 5}
    assert counters.read("bounced.") == {"bounced.quota": 1}
