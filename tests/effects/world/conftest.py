"""One fake world for the tests of a worker, as new for each of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.world.client import World


@pytest.fixture(scope="session")
def running_world() -> Iterator[World]:
    with World.start(greylist_seconds=0.3) as world:
        yield world


@pytest.fixture
def world(running_world: World) -> World:
    running_world.reset()
    return running_world
