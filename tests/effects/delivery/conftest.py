"""What delivery works with: a real Valkey, the fake world, and the parts of one worker."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from mta import wiring
from mta.limits.counters import Counters
from mta.limits.egress import Limits
from mta.limits.memory import Memory
from mta.limits.nudge import Nudge
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
        monkeypatch.setattr(wiring, "counters", lambda: counters)
        yield mine


@pytest.fixture
def worker(limits: Limits, world: World, tmp_path: Path, db: None) -> Iterator[Worker]:
    """A deliver worker of this test."""
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
