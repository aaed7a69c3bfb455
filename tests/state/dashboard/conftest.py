"""Two tenants, an operator, and a marketer of the first tenant."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.cache import cache
from django.test import Client

from dashboard.kept import kept
from mta.tenants.models import User
from tests.cast import Cast, make_cast


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    """Kept answers belong to another test's database."""
    kept.forget()
    cache.clear()
    yield
    kept.forget()


@pytest.fixture
def acme(db: None) -> Cast:
    return make_cast("acme", "acme.test")


@pytest.fixture
def globex(db: None) -> Cast:
    return make_cast("globex", "globex.test")


@pytest.fixture
def operator(db: None) -> User:
    return User.objects.create_user("olga", is_staff=True, role="operator")


@pytest.fixture
def marketer(acme: Cast) -> User:
    user = User.objects.create_user("mark", is_staff=True, role="marketer")
    user.tenants.add(acme.tenant)
    return user


@pytest.fixture
def as_operator(operator: User) -> Client:
    client = Client()
    client.force_login(operator)
    return client


@pytest.fixture
def as_marketer(marketer: User) -> Client:
    client = Client()
    client.force_login(marketer)
    return client
