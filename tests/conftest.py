"""Fixtures for every tier: a real Redis for those who ask, and a small cast to send mail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cast import Cast


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
    # Imported here: unit tests need no Django.
    from tests.cast import make_cast

    return make_cast()
