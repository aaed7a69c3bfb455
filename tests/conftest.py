"""Fixtures for every tier: a real Redis for those who ask, and a small cast to send mail."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

#: Module and the name of what it remembers.
REMEMBERED = {
    "mta.spool.streams": "_known",
    "mta.spool.quota": "_known",
    "mta.egress.sources": "_last",
    "mta.delivery.shaping": "_last",
    "mta.delivery.routing_rules": "_last",
    "mta.delivery.smart_hosts": "_last",
    "mta.delivery.seal": "_by_domain",
}

if TYPE_CHECKING:
    from tests.cast import Cast


@pytest.fixture(autouse=True)
def forget_what_processes_remember() -> None:
    """Facts kept for a few seconds belong to the database of the test before.

    Only what is loaded already is touched: unit tests need no Django.
    """
    for module, name in REMEMBERED.items():
        if module in sys.modules:
            getattr(sys.modules[module], name).clear()


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
