"""The tenant `shop`, a program that has its key, and a stranger."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mta.egress.provision import Provisioned, provision
from tests.state.api.program import Program, kept_connection


@pytest.fixture(autouse=True)
def connection_of_the_test() -> Iterator[None]:
    with kept_connection():
        yield


@pytest.fixture
def made(db: None) -> Provisioned:
    return provision("shop", ["shop.example"])


@pytest.fixture
def program(made: Provisioned) -> Program:
    return Program(made.api_key)


@pytest.fixture
def stranger(db: None) -> Program:
    """Another tenant."""
    return Program(provision("stranger", ["stranger.example"]).api_key)
