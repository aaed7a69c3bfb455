"""Fixtures for every tier: a real Redis for those who ask, and a small cast to send mail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cast import Cast, make_cast


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Valkey server of this process."""
    from tests.services.redis import start_valkey

    server = start_valkey(Path(tmp_path_factory.mktemp("valkey")))
    yield server.url
    server.stop()


@pytest.fixture
def cast(db: None) -> Cast:
    """A tenant with streams, pool and source, in the database."""
    return make_cast()
