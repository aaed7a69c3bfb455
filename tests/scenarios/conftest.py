"""Stacks for the stories: one a story, on the backend of the run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.scenarios.stack import Stack
from tests.world.client import World


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Stories wait for what real processes do; on a busy machine that adds up."""
    for item in items:
        if "scenarios" in item.path.parts and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World.start(tmp_path / "world", greylist_seconds=2.0) as world:
        yield world


@pytest.fixture
def make_stack(tmp_path: Path, world: World) -> Iterator[Callable[..., Stack]]:
    """Makes a stack; settings are environment variables."""
    made: list[Stack] = []

    def make(**settings: str) -> Stack:
        backend = os.environ.get("TEST_BACKEND", "sqlite")
        made.append(Stack(tmp_path / f"stack{len(made)}", world, backend, **settings))
        return made[-1]

    yield make
    for stack in made:
        stack.stop()


@pytest.fixture
def stack(make_stack: Callable[..., Stack]) -> Stack:
    return make_stack()
