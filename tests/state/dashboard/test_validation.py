"""What the admin refuses, and the words that name field and fix."""

from __future__ import annotations

import html
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from dashboard.forms.warmup import stages_of
from mta.egress.models import Pool, Source, Suspension, WarmupSchedule
from mta.events.models import Decision
from mta.spool import waiting
from mta.spool.inject import inject
from mta.spool.models import Lane
from mta.spool.waiting import PutOff
from mta.storage.fields import from_ms, now_ms
from mta.suppression.models import Suppression
from mta.tenants.models import SendingDomain, User
from tests.cast import Cast

NO_INLINES = {
    f"{prefix}-{name}": 0
    for prefix in ("members", "memberships", "dkim_keys", "streams", "domains")
    for name in ("TOTAL_FORMS", "INITIAL_FORMS")
}


def refused(client: Client, table: str, *args: Any, **values: Any) -> str:
    """The page that comes back when the values are refused."""
    page = "change" if args else "add"
    answer = client.post(reverse(f"admin:{table}_{page}", args=args), {**NO_INLINES, **values})
    assert answer.status_code == 200, "was accepted"
    return html.unescape(answer.content.decode())


def accepted(client: Client, table: str, *args: Any, **values: Any) -> None:
    page = "change" if args else "add"
    answer = client.post(reverse(f"admin:{table}_{page}", args=args), {**NO_INLINES, **values})
    assert answer.status_code == 302, html.unescape(answer.content.decode())


def test_a_sending_domain_is_stored_as_a_label(acme: Cast, as_operator: Client) -> None:
    table = "tenants_sendingdomain"
    accepted(as_operator, table, tenant=acme.tenant.pk, domain="Bücher.Example.")
    assert SendingDomain.objects.filter(domain="xn--bcher-kva.example").exists()
    text = refused(as_operator, table, tenant=acme.tenant.pk, domain="not a domain")
    assert "Not a domain name" in text
    text = refused(as_operator, table, tenant=acme.tenant.pk, domain="BÜCHER.example")
    assert "already exists" in text


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"retry_steps": "1m,soon"}, "such as 1m,5m,15m,1h"),
        ({"life_hours": 0}, "Give at least 1 hour"),
        ({"is_default": "on"}, "has a default stream already: transactional"),
        ({"pool": "theirs"}, "belongs to another tenant than acme"),
        ({"name": "With Spaces"}, "lower-case letters, digits and hyphens"),
    ],
)
def test_a_stream(
    values: dict[str, Any], words: str, acme: Cast, globex: Cast, as_operator: Client
) -> None:
    mine, theirs = (Pool.objects.get(tenant=one.tenant).pk for one in (acme, globex))
    good = {"tenant": acme.tenant.pk, "name": "letters", "kind": "bulk", "pool": mine}
    if values.get("pool") == "theirs":
        values = {"pool": theirs}
    assert words in refused(as_operator, "tenants_stream", **{**good, **values})
    accepted(as_operator, "tenants_stream", **good, retry_steps="1m,5m", life_hours=2)


def test_a_warming_source_needs_its_first_day(db: None, as_operator: Client) -> None:
    schedule = WarmupSchedule.objects.create(name="gentle")
    plain = {"kind": "address", "status": "active", "tls": "required"}
    good = {**plain, "name": "out-1", "warmup_schedule": schedule.pk}
    assert "Give the first day" in refused(as_operator, "egress_source", **good)
    accepted(as_operator, "egress_source", **good, warmup_started_on="2026-01-01")
    text = refused(as_operator, "egress_source", **plain, name="out-2", ehlo_name="a b")
    assert "Not a domain name" in text


GATES = {
    "spread_hours": 12, "min_sent_share": 0.9, "max_deferral_rate": 0.15, "max_block_rate": 0.02,
    "max_complaint_rate": 0.001, "restart_after_days": 30,
}  # fmt: skip


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"stages": "100 50"}, "Stage 2 falls from 100 to 50"),
        ({"stages": ""}, "There are no stages"),
        ({"stages": "many"}, "Stages are numbers"),
        ({"stages": "50", "spread_hours": 25}, "less than or equal to 24"),
        ({"stages": "50", "max_block_rate": 2}, "less than or equal to 1"),
        ({"stages": "50", "restart_after_days": 0}, "greater than or equal to 1"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(
    db: None, as_operator: Client, values: dict[str, Any], words: str
) -> None:
    given = {**GATES, "name": "gentle", **values}
    assert words in refused(as_operator, "egress_warmupschedule", **given)


def test_stages_are_one_text_or_a_templates(db: None, as_operator: Client) -> None:
    table = "egress_warmupschedule"
    accepted(as_operator, table, name="gentle", stages="50, 2, 4", **GATES)
    gentle = WarmupSchedule.objects.get(name="gentle")
    assert stages_of(gentle) == [50, 100, 200, 400]
    page = as_operator.get(reverse(f"admin:{table}_change", args=[gentle.pk])).content.decode()
    assert "50 100 200 400" in page
    before = list(gentle.stages.values_list("pk", flat=True))
    accepted(as_operator, table, gentle.pk, name="gentle", stages="50 100 200 400", **GATES)
    assert list(gentle.stages.values_list("pk", flat=True)) == before
    accepted(as_operator, table, gentle.pk, name="gentle", template="careful", stages="5", **GATES)
    assert stages_of(gentle)[:3] == [50, 100, 200]
    assert len(stages_of(gentle)) == 13


def test_pools_do_not_overflow_in_circles(acme: Cast, globex: Cast, as_operator: Client) -> None:
    first = Pool.objects.create(name="first")
    second = Pool.objects.create(name="second", overflow=first)
    third = Pool.objects.create(name="third", overflow=second)
    text = refused(as_operator, "egress_pool", first.pk, name="first", overflow=third.pk)
    assert "mail would go round in circles" in text
    theirs = Pool.objects.get(tenant=globex.tenant)
    text = refused(as_operator, "egress_pool", first.pk, name="first", overflow=theirs.pk)
    assert "belongs to another tenant" in text
    mine = Pool.objects.get(tenant=acme.tenant)
    text = refused(as_operator, "egress_pool", mine.pk, name=mine.name, tenant=globex.tenant.pk)
    assert "of another tenant uses this pool" in text


def test_a_suspension_names_something_that_exists(acme: Cast, as_operator: Client) -> None:
    table = "egress_suspension"
    rollup = "(alt1|alt2).aspmx.l.google.com"
    inject([acme.message("ann@x.test")])
    Lane.objects.update(site=rollup)
    assert "there is no tenant named" in refused(as_operator, table, scope="tenant", key="nobody")
    assert "there is no source named" in refused(as_operator, table, scope="source", key="none")
    assert "there is no site named" in refused(as_operator, table, scope="site", key="a b")
    assert "there is no campaign" in refused(as_operator, table, scope="campaign", key="acme/x")
    for scope, key in (("site", "Bücher.example"), ("site", rollup), ("tenant", "acme")):
        asked = as_operator.post(reverse(f"admin:{table}_add"), {"scope": scope, "key": key})
        assert f"Suspend {scope}" in asked.content.decode()
        assert not Suspension.objects.filter(scope=scope, key=key).exists()
        accepted(as_operator, table, scope=scope, key=key, _confirmed="1")
    keys = Suspension.objects.order_by("pk").values_list("key", "created_by")
    assert list(keys) == [
        ("xn--bcher-kva.example", "olga"),
        ("(alt1|alt2).aspmx.l.google.com", "olga"),
        ("acme", "olga"),
    ]


def test_a_suppressed_address_is_stored_in_its_normal_form(
    acme: Cast, globex: Cast, as_operator: Client
) -> None:
    table = "suppression_suppression"
    accepted(as_operator, table, address="Anna@BÜCHER.example", reason="manual")
    assert Suppression.objects.get().address == "anna@xn--bcher-kva.example"
    assert "Not a mail address" in refused(as_operator, table, address="anna", reason="manual")
    text = refused(
        as_operator, table, address="a@x.test", reason="manual", stream=acme.bulk.pk,
        tenant=globex.tenant.pk,
    )  # fmt: skip
    assert "belongs to another tenant than globex" in text
    text = refused(as_operator, table, address="a@x.test", reason="manual", stream=acme.bulk.pk)
    assert "Choose acme, whose stream this is" in text


def test_a_marketer_has_tenants_and_may_log_in(acme: Cast, as_operator: Client) -> None:
    good = {
        "username": "mira", "usable_password": "true", "password1": "long-enough-8",
        "password2": "long-enough-8", "role": "marketer",
    }  # fmt: skip
    assert "Choose the tenants" in refused(as_operator, "tenants_user", **good)
    accepted(as_operator, "tenants_user", **good, tenants=[acme.tenant.pk])
    mira = User.objects.get(username="mira")
    assert mira.is_staff
    assert not mira.is_superuser
    assert mira.check_password("long-enough-8")


def test_a_dkim_window_goes_forward(acme: Cast, as_operator: Client) -> None:
    domain = SendingDomain.objects.get(tenant=acme.tenant)
    text = refused(
        as_operator, "tenants_dkimkey", sending_domain=domain.pk, selector="s",
        algorithm="ed25519-sha256", active_from_0="2026-02-02", active_from_1="00:00",
        active_until_0="2026-02-01", active_until_1="00:00",
    )  # fmt: skip
    assert "Give an end after the start" in text


def test_a_pool_member_has_weight(acme: Cast, as_operator: Client) -> None:
    source = Source.objects.create(name="out-9")
    text = refused(
        as_operator, "egress_pool", name="p", **{
            "members-TOTAL_FORMS": 1, "members-0-source": source.pk, "members-0-weight": 0,
        },
    )  # fmt: skip
    assert "Give at least 1" in text or "greater than or equal to 1" in text


def test_deleting_a_suspension_brings_its_mail_back(acme: Cast, as_operator: Client) -> None:
    inject([acme.message("you@example.org")])
    gate = waiting.suspended("site", "example.org")
    until = now_ms() + 60_000
    waiting.put_off([PutOff(Lane.objects.get().pk, until, gate, "the site is suspended")])
    row = Suspension.objects.create(scope="site", key="example.org")
    url = reverse("admin:egress_suspension_delete", args=[row.pk])
    assert as_operator.post(url, {"post": "yes"}).status_code == 302
    lane = Lane.objects.get()
    assert lane.hold_reason == ""
    assert lane.due_at < from_ms(now_ms() + 10_000)
    told = Decision.objects.get()
    assert (told.kind, told.actor, told.site) == ("resume", "olga", "example.org")
