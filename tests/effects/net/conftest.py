"""Every scenario runs on asyncio's own loop and on uvloop, which production uses."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvloop

Run = Callable[[Callable[[], Awaitable[Any]]], Any]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    def runner(scenario: Callable[[], Awaitable[Any]]) -> Any:
        async def bounded() -> Any:
            async with asyncio.timeout(30):
                return await scenario()

        with asyncio.Runner(loop_factory=factory) as loop:
            return loop.run(bounded())

    return runner
