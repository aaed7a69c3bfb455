"""/livez, /readyz and /metrics, with a real Redis that is there, and with one that is not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.core.cache import cache
from django.db import DatabaseError
from django.db.migrations.executor import MigrationExecutor
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from dashboard import health
from mta import wiring
from tests.cast import Cast
from tests.state.dashboard import scene

SECRET = "hunter2-in-the-address"


@pytest.fixture
def with_redis(redis_url: str, settings: Any) -> Iterator[None]:
    settings.MAILMILL = replace(settings.MAILMILL, redis_url=redis_url)
    forget()
    yield
    wiring.redis_client().flushall()
    forget()


@pytest.fixture
def without_redis(settings: Any) -> Iterator[None]:
    url = f"redis://:{SECRET}@127.0.0.1:1/0"
    settings.MAILMILL = replace(settings.MAILMILL, redis_url=url)
    forget()
    yield
    forget()


def forget() -> None:
    wiring.redis_client.cache_clear()
    wiring.counters.cache_clear()


def figures(client: Client) -> dict[str, float]:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    families = text_string_to_metric_families(answer.content.decode())
    return {
        sample.name + "".join(f" {value}" for value in sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


def test_livez_needs_nothing(client: Client, without_redis: None) -> None:
    answer = client.get("/livez")
    assert (answer.status_code, answer.content) == (200, b"ok\n")
    assert "no-cache" in answer["Cache-Control"]


def test_readyz_when_everything_is_there(db: None, client: Client, with_redis: None) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 200
    checks = {"database": "ok", "migrations": "ok", "redis": "ok"}
    assert json.loads(answer.content) == {"ready": True, "checks": checks}


def test_readyz_names_redis_and_no_secret(db: None, client: Client, without_redis: None) -> None:
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert json.loads(answer.content)["checks"]["redis"] == "does not answer"
    assert SECRET not in answer.content.decode()


def test_readyz_names_missing_migrations(
    db: None, client: Client, with_redis: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.clear()
    monkeypatch.setattr(MigrationExecutor, "migration_plan", lambda *_: [("a", False)])
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "1 not applied: run manage.py migrate" in answer.content.decode()


def test_readyz_names_the_database(
    db: None, client: Client, with_redis: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> str:
        raise DatabaseError(SECRET)

    monkeypatch.setitem(health.CHECKS, "database", broken)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert json.loads(answer.content)["checks"]["database"] == "does not answer"
    assert SECRET not in answer.content.decode()


def test_metrics_tell_counters_and_spool(acme: Cast, client: Client, with_redis: None) -> None:
    wiring.counters().add({"recipients:delivered": 3, "recipients:bounced": 1, "dsns": 2})
    of = scene.message(acme.bulk)
    scene.lane(acme.bulk, "x.test", priority=1)
    scene.recipient(of, "a@x.test")
    scene.recipient(of, "b@x.test", "claimed")
    found = figures(client)
    assert found["mailmill_recipients_total delivered"] == 3
    assert found["mailmill_recipients_total bounced"] == 1
    assert found["mailmill_dsns_total "] == 2
    assert found["mailmill_waiting bulk"] == 1
    assert found["mailmill_waiting transactional"] == 0
    assert found["mailmill_in_flight"] == 1
    assert 0 <= found["mailmill_oldest_waiting_seconds"] < 60
    assert found["mailmill_scrape_errors redis"] == 0


def test_metrics_go_on_without_redis(acme: Cast, client: Client, without_redis: None) -> None:
    found = figures(client)
    assert found["mailmill_scrape_errors redis"] == 1
    assert found["mailmill_scrape_errors database"] == 0
    assert found["mailmill_waiting bulk"] == 0
