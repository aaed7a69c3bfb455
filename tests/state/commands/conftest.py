"""Commands run in this process, on a real Redis that knows nothing yet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from dashboard.kept import kept
from mta import wiring
from mta.delivery import network, shaping
from mta.egress import sources
from mta.net.loop import LoopThread
from mta.spool import streams
from tests.effects.net.names import Names


def forget() -> None:
    """What processes remember belongs to another test's database, Redis or DNS."""
    for made in (wiring.redis_client, wiring.limits, wiring.nudge, wiring.counters, wiring.memory):
        made.cache_clear()
    while network._network:
        network._network.pop().loop.stop()
    shaping._last.clear()
    streams._known.clear()
    sources.forget()
    kept.forget()


@pytest.fixture(autouse=True)
def fresh_redis(redis_url: str, settings: Any) -> Iterator[None]:
    settings.MAILMILL = replace(settings.MAILMILL, redis_url=redis_url)
    forget()
    wiring.redis_client().flushall()
    yield
    wiring.redis_client().close()
    forget()


@pytest.fixture
def names(settings: Any) -> Iterator[Names]:
    """A real DNS server that the settings name; the test writes its zones."""
    thread = LoopThread("names")
    thread.start()
    server = Names()
    thread.run(server.__aenter__())
    settings.MAILMILL = replace(settings.MAILMILL, dns=(server.server,))
    yield server
    thread.run(server.__aexit__())
    thread.stop()
