"""What delivery works with: a real Valkey, the fake world, and the parts of one worker."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from mta import wiring
from mta.delivery import shaping
from mta.limits.counters import Counters
from mta.limits.egress import Limits
from mta.limits.memory import Memory
from mta.limits.nudge import Nudge
from mta.limits.paths import Paths
from mta.limits.tally import Tally
from tests.effects.delivery.worker import Worker
from tests.world.client import World


@pytest.fixture
def limits(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Limits]:
    """Limits under a prefix of this test; what the modules take from wiring is bound to them."""
    prefix = f"test-{uuid.uuid4().hex}:"
    with redis.Redis.from_url(redis_url) as client:
        mine = Limits(client, prefix)
        nudge = Nudge(client, prefix=prefix)
        memory, counters = Memory(client, f"{prefix}m:"), Counters(client, f"{prefix}c:")
        monkeypatch.setattr(wiring, "limits", lambda: mine)
        monkeypatch.setattr(wiring, "nudge", lambda: nudge)
        monkeypatch.setattr(wiring, "memory", lambda: memory)
        paths, tally = Paths(client, prefix), Tally(client, f"{prefix}t:")
        monkeypatch.setattr(wiring, "counters", lambda: counters)
        monkeypatch.setattr(wiring, "paths", lambda: paths)
        monkeypatch.setattr(wiring, "tally", lambda: tally)
        yield mine


@pytest.fixture
def worker(
    limits: Limits, world: World, tmp_path: Path, db: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Worker]:
    """A deliver worker of this test."""
    # The rules are read here: the worker's own threads cannot see this test's transaction.
    monkeypatch.setattr(shaping, "KEEP_SECONDS", float("inf"))
    shaping._last.clear()
    shaping.rules()
    monkeypatch.setattr("mta.delivery.throttle_states.record", lambda *_, **__: None)
    made = Worker(tmp_path / "journal", world, limits, wiring.memory())
    yield made
    made.close()


@pytest.fixture(scope="session")
def running_world() -> Iterator[World]:
    with World.start() as world:
        yield world


@pytest.fixture
def world(running_world: World) -> World:
    """The fake world as at its start."""
    running_world.reset()
    return running_world
