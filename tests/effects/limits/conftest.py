"""A client of the real server, under a prefix of its own for each test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
import redis

from mta.limits.egress import Limits


@pytest.fixture(params=[False, True], ids=["bytes", "str"])
def client(redis_url: str, request: pytest.FixtureRequest) -> Iterator[redis.Redis]:
    """A client; every test runs with and without decoded replies."""
    with redis.Redis.from_url(redis_url, decode_responses=request.param) as found:
        yield found


@pytest.fixture
def prefix() -> str:
    return f"test-{uuid.uuid4().hex}:"


@pytest.fixture
def limits(client: redis.Redis, prefix: str) -> Limits:
    return Limits(client, prefix)
