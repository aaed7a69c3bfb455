"""Every page of the admin opens, and a list of 30 rows costs what a list of 3 costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from dashboard.admin import base
from mta.egress.models import (
    AutomationRule,
    Pool,
    PoolMember,
    RoutingRule,
    ShapingRule,
    Source,
    Suspension,
    WarmupSchedule,
    WarmupStage,
)
from mta.events import decisions
from mta.events.models import WebhookEndpoint
from mta.suppression.models import Suppression
from mta.tenants.credentials import create_api_key, create_smtp_credential
from mta.tenants.models import DkimKey, SendingDomain, Stream, Tenant, User
from tests.cast import Cast
from tests.state.dashboard import scene

MODELS = sorted((model._meta.label_lower for model in admin.site._registry), key=str)


def url(label: str, page: str, *args: Any) -> str:
    return reverse(f"admin:{label.replace('.', '_')}_{page}", args=args)


def fill(cast: Cast, count: int, start: int = 0) -> None:
    """`count` rows in every table of the admin."""
    for n in range(start, start + count):
        tenant = Tenant.objects.create(name=f"tenant-{n}")
        schedule = WarmupSchedule.objects.create(name=f"schedule-{n}")
        WarmupStage.objects.create(schedule=schedule, day=1, per_day=50)
        source = Source.objects.create(
            name=f"source-{n}", warmup_schedule=schedule, warmup_started_on="2026-01-01"
        )
        pool = Pool.objects.create(name=f"pool-{n}", tenant=tenant, overflow=Pool.objects.first())
        PoolMember.objects.create(pool=pool, source=source)
        stream = Stream.objects.create(tenant=tenant, name="bulk", kind="bulk", pool=pool)
        domain = SendingDomain.objects.create(tenant=tenant, domain=f"d{n}.test")
        DkimKey.objects.create(
            sending_domain=domain, selector="s", private_key=b"pem", dns_record="v=DKIM1"
        )
        create_api_key(tenant)
        create_smtp_credential(tenant, f"smtp-{n}")
        Suppression.objects.create(
            tenant=tenant, stream=stream, address=f"a{n}@x.test", reason="manual"
        )
        ShapingRule.objects.create(match_kind="site", match=f"mx{n}.test", connections=1)
        AutomationRule.objects.create(
            name=f"automation-{n}", pattern="slow down", action="suspend", duration_seconds=60
        )
        RoutingRule.objects.create(
            name=f"routing-{n}", condition="size > 1", action="pool", pool=pool
        )
        Suspension.objects.create(scope="site", key=f"x{n}.test")
        WebhookEndpoint.objects.create(tenant=tenant, url=f"https://x{n}.test/", secret=b"s")
        person = User.objects.create_user(f"person-{n}")
        person.tenants.add(tenant)
        to = scene.recipient(scene.message(stream), f"a@x{n}.test")
        scene.attempt(to, "451 later")
        scene.event(to, "deferral")
        decisions.record("hold", actor="olga", tenant_id=tenant.pk, count=n, reason="by hand")


@pytest.mark.parametrize("label", MODELS)
def test_every_page_opens(label: str, acme: Cast, as_operator: Client) -> None:
    fill(acme, 2)
    model = next(one for one in admin.site._registry if one._meta.label_lower == label)
    assert as_operator.get(url(label, "changelist")).status_code == 200
    assert as_operator.get(url(label, "changelist"), {"q": "x"}).status_code == 200
    row = model._default_manager.first()
    assert row is not None
    assert as_operator.get(url(label, "change", row.pk)).status_code == 200
    hot = isinstance(admin.site._registry[model], base.HotAdmin)
    assert as_operator.get(url(label, "add")).status_code == (403 if hot else 200)


@pytest.mark.parametrize("label", MODELS)
def test_a_list_of_thirty_costs_what_a_list_of_three_costs(
    label: str, acme: Cast, as_operator: Client
) -> None:
    page = url(label, "changelist")
    fill(acme, 3)
    few = queries(lambda: as_operator.get(page))
    fill(acme, 27, start=3)
    many = queries(lambda: as_operator.get(page))
    assert len(many) <= len(few), "\n".join(many)


def test_a_pool_of_thirty_members_costs_what_a_pool_of_three_costs(
    acme: Cast, as_operator: Client
) -> None:
    pool = Pool.objects.get()
    page = url("egress.pool", "change", pool.pk)
    costs = []
    for count in (3, 30):
        for n in range(PoolMember.objects.count(), count):
            source = Source.objects.create(name=f"s{count}-{n}")
            PoolMember.objects.create(pool=pool, source=source)
        costs.append(len(queries(lambda: as_operator.get(page))))
    assert costs[1] <= costs[0]


def test_big_tables_are_read_only(acme: Cast, as_operator: Client) -> None:
    to = scene.recipient(scene.message(acme.bulk), "a@x.test")
    change = url("spool.recipient", "change", to.pk)
    assert as_operator.post(change, {"state": "delivered"}).status_code == 403
    assert as_operator.post(url("spool.recipient", "delete", to.pk)).status_code == 403


def test_big_tables_are_counted_to_a_cap(
    acme: Cast, as_operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "COUNT_CAP", 5)
    of = scene.message(acme.bulk)
    for n in range(7):
        scene.recipient(of, f"a{n}@x.test")
    asked = queries(lambda: as_operator.get(url("spool.recipient", "changelist")))
    counts = [sql for sql in asked if "COUNT(" in sql]
    assert counts
    assert all("LIMIT 5" in sql for sql in counts), counts
    text = as_operator.get(url("spool.recipient", "changelist")).content.decode()
    assert "the first 5 recipients; search or filter to reach others" in text


def test_a_search_in_a_big_table_finds_by_address_and_by_id(
    acme: Cast, as_operator: Client
) -> None:
    from mta.mail import ids

    of = scene.message(acme.bulk, campaign="autumn")
    wanted = scene.recipient(of, "wanted@x.test")
    other = scene.message(acme.bulk)
    scene.recipient(other, "other@x.test")
    for label in ("spool.recipient", "spool.message"):
        for term in ("wanted@x.test", ids.encode(of.pk)):
            text = as_operator.get(url(label, "changelist"), {"q": term}).content.decode()
            assert ids.encode(of.pk) in text
            assert ids.encode(other.pk) not in text
    text = as_operator.get(url("spool.message", "changelist"), {"q": "autumn"}).content.decode()
    assert ids.encode(of.pk) in text
    scene.attempt(wanted, "550 5.1.1 unknown to all")
    page = as_operator.get(url("spool.attempt", "changelist"), {"q": ids.encode(wanted.pk)})
    assert "unknown to all" in page.content.decode()


def queries(page: Callable[[], Any]) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        assert page().status_code == 200
    return [one["sql"] for one in captured]
