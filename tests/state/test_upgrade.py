"""Data of the schema before limits, warmup and waiting lanes came, migrated to today's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from mta.egress.models import Source, WarmupState
from mta.spool.models import Lane
from mta.tenants.models import Tenant

BEFORE = [
    ("egress", "0003_warmup_templates"),
    ("events", "0003_without_tenant_constraint"),
    ("spool", "0003_claims_are_rows"),
    ("tenants", "0001_initial"),
]
TODAY = datetime.now(UTC).date()


def migrate(targets: list[tuple[str, str]]) -> Any:
    """The models as they are at the targets, once the database is there."""
    executor = MigrationExecutor(connection)
    executor.migrate(targets)
    return executor.loader.project_state(targets).apps


def latest() -> list[tuple[str, str]]:
    return MigrationExecutor(connection).loader.graph.leaf_nodes()


@pytest.fixture
def before(transactional_db: None) -> Iterator[Any]:
    """The models of the schema before, in a database that is brought back in any case."""
    yield migrate(BEFORE)
    migrate(latest())


def fill(models: Any) -> None:
    """Three tenants; the source of each is at another point of its warmup's calendar."""
    schedule = models.get_model("egress", "WarmupSchedule").objects.create(name="four")
    for day, number in enumerate((10, 20, 30, 40), 1):
        schedule.stages.create(day=day, per_day=number)
    for name, quota, age in (("warm", 1000, 4), ("young", None, 2), ("coming", None, -1)):
        tenant = models.get_model("tenants", "Tenant").objects.create(
            name=name, quota_per_hour=quota
        )
        pool = models.get_model("egress", "Pool").objects.create(name=name, tenant=tenant)
        pool.members.create(
            source=models.get_model("egress", "Source").objects.create(
                name=name, warmup_schedule=schedule, warmup_started_on=TODAY - timedelta(days=age)
            )
        )
        for priority, kind in enumerate(("transactional", "bulk")):
            stream = tenant.streams.create(name=kind, kind=kind, pool=pool)
            for site in ("mx.x.test", "gmail-smtp-in.l.google.com", ""):
                models.get_model("spool", "Lane").objects.create(
                    tenant=tenant, stream=stream, domain=site or "new.test", site=site,
                    priority=priority,
                )  # fmt: skip


def test_mail_and_limits_go_on_as_before(before: Any) -> None:
    fill(before)
    migrate(latest())
    lanes = Lane.objects.filter(tenant__name="warm", domain="mx.x.test")
    assert dict(lanes.values_list("stream__name", "priority")) == {"transactional": 0, "bulk": 2}
    assert set(Lane.objects.values_list("pool_id", "gate")) == {(0, "")}
    quotas = dict(Tenant.objects.values_list("name", "quota_action"))
    assert quotas == {"warm": "reject", "young": "delay", "coming": "delay"}


def test_warmups_go_on_where_the_calendar_had_them(before: Any) -> None:
    fill(before)
    migrate(latest())
    started = dict(Source.objects.values_list("name", "warmup_started_on"))
    assert started == {
        "warm": None,  # it was over: no cap
        "young": TODAY - timedelta(days=2),
        "coming": TODAY + timedelta(days=1),
    }
    states = WarmupState.objects.values_list("source__name", "reach", "stage", "status")
    assert set(states) == {
        ("young", "mx.x.test", 3, "warming"),
        ("young", "google", 3, "warming"),
    }
