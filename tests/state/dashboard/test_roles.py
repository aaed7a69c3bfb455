"""A marketer sees and changes what belongs to the tenants given to them, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from dashboard import roles
from mta.egress.models import Pool, PoolMember, ShapingRule, Source, Suspension, WarmupSchedule
from mta.events.models import WebhookEndpoint
from mta.mail import ids
from mta.suppression.models import Suppression
from mta.tenants.credentials import create_api_key, create_smtp_credential
from mta.tenants.models import ApiKey, DkimKey, SendingDomain, Stream, User
from tests.cast import Cast
from tests.state.dashboard import scene


def rows_of(cast: Cast) -> dict[str, Any]:
    """One row of the tenant in every table that a marketer can reach."""
    name = cast.tenant.name
    domain = SendingDomain.objects.get(tenant=cast.tenant)
    of = scene.message(cast.bulk, subject=f"subject of {name}")
    to = scene.recipient(of, f"someone@{name}-customer.test")
    return {
        "tenants_tenant": cast.tenant,
        "tenants_stream": cast.bulk,
        "tenants_sendingdomain": domain,
        "tenants_dkimkey": DkimKey.objects.create(
            sending_domain=domain, selector=f"of-{name}", private_key=b"pem", dns_record="v=DKIM1"
        ),
        "tenants_apikey": create_api_key(cast.tenant, f"key of {name}")[0],
        "tenants_smtpcredential": create_smtp_credential(cast.tenant, f"smtp-{name}")[0],
        "egress_pool": Pool.objects.get(tenant=cast.tenant),
        "egress_source": cast.source,
        "suppression_suppression": Suppression.objects.create(
            tenant=cast.tenant, address=f"x@{name}.test", reason="manual"
        ),
        "events_webhookendpoint": WebhookEndpoint.objects.create(
            tenant=cast.tenant, url=f"https://{name}.test/", secret=b"s"
        ),
        "spool_message": of,
        "spool_recipient": to,
        "spool_attempt": scene.attempt(to, f"451 said to {name}"),
        "spool_lane": to.lane,
        "events_event": scene.event(to, "deferral"),
    }


def test_a_marketer_reaches_own_rows_and_no_other_tenants(
    acme: Cast, globex: Cast, as_marketer: Client
) -> None:
    mine, theirs = rows_of(acme), rows_of(globex)
    for table, row in mine.items():
        listed = as_marketer.get(reverse(f"admin:{table}_changelist")).content.decode()
        assert "globex" not in listed, table
        change = as_marketer.get(reverse(f"admin:{table}_change", args=[row.pk]))
        assert change.status_code == 200, table
        assert "globex" not in change.content.decode(), table
    for table, row in theirs.items():
        for page in ("change", "delete", "history"):
            address = reverse(f"admin:{table}_{page}", args=[row.pk])
            answer = as_marketer.get(address)
            assert "globex" not in answer.content.decode(), (table, page)
            assert answer.status_code in {302, 403, 404}, (table, page)
            assert as_marketer.post(address, {"post": "yes"}).status_code in {302, 403, 404, 405}
        row.refresh_from_db()


def test_every_model_of_the_admin_is_scoped_or_for_operators_alone(
    acme: Cast, as_marketer: Client
) -> None:
    closed = {model.__name__ for model in admin.site._registry if model not in roles.SCOPES}
    assert closed == {
        "User", "ShapingRule", "AutomationRule", "RoutingRule", "Suspension", "Body",
    }  # fmt: skip
    ShapingRule.objects.create(match_kind="default", connections=3)
    Suspension.objects.create(scope="site", key="x.test")
    for table in ("tenants_user", "egress_shapingrule", "egress_suspension", "spool_body"):
        assert as_marketer.get(reverse(f"admin:{table}_changelist")).status_code == 403


@pytest.mark.parametrize(
    ("table", "model"),
    [("tenants_stream", Stream), ("tenants_apikey", ApiKey), ("egress_pool", Pool)],
)
def test_a_form_offers_and_takes_only_own_tenants(
    table: str, model: Any, acme: Cast, globex: Cast, as_marketer: Client
) -> None:
    before = model.objects.count()
    values = {
        "tenant": globex.tenant.pk, "name": "intruder", "kind": "bulk", "scopes": ["send"],
        "pool": Pool.objects.get(tenant=acme.tenant).pk, "members-TOTAL_FORMS": 0,
        "members-INITIAL_FORMS": 0,
    }  # fmt: skip
    answer = as_marketer.post(reverse(f"admin:{table}_add"), values)
    assert answer.status_code == 200
    assert "Select a valid choice" in answer.content.decode()
    assert model.objects.count() == before


def test_a_marketer_cannot_take_a_pool_or_a_source_of_another_tenant(
    acme: Cast, globex: Cast, as_marketer: Client
) -> None:
    theirs = Pool.objects.get(tenant=globex.tenant)
    mine = Pool.objects.get(tenant=acme.tenant)
    member = PoolMember.objects.get(pool=mine)
    values = {
        "name": mine.name, "tenant": acme.tenant.pk, "overflow": theirs.pk,
        "members-TOTAL_FORMS": 1, "members-INITIAL_FORMS": 1, "members-0-id": member.pk,
        "members-0-pool": mine.pk, "members-0-source": globex.source.pk, "members-0-weight": 1,
    }  # fmt: skip
    answer = as_marketer.post(reverse("admin:egress_pool_change", args=[mine.pk]), values)
    assert answer.content.decode().count("Select a valid choice") == 2
    member.refresh_from_db()
    assert member.source == acme.source


def test_shared_pools_are_seen_and_not_changed(
    acme: Cast, globex: Cast, as_marketer: Client
) -> None:
    shared = Pool.objects.create(name="shared-by-all")
    source = Source.objects.create(name="shared-source")
    unused = Source.objects.create(name="unused-source")
    PoolMember.objects.create(pool=shared, source=source)
    change = reverse("admin:egress_pool_change", args=[shared.pk])
    assert as_marketer.get(change).status_code == 200
    assert as_marketer.post(change, {"name": "mine"}).status_code == 403
    assert (
        as_marketer.post(
            reverse("admin:egress_pool_delete", args=[shared.pk]), {"post": "yes"}
        ).status_code
        == 403
    )
    for tenant in (acme.tenant, globex.tenant):
        Stream.objects.create(tenant=tenant, name="shared", kind="bulk", pool=shared)
    pools = as_marketer.get(reverse("admin:egress_pool_changelist"))
    assert [row.n_streams for row in pools.context["cl"].result_list] == [2, 1]
    listed = as_marketer.get(reverse("admin:egress_source_changelist")).content.decode()
    assert source.name in listed
    assert unused.name not in listed


def test_a_marketer_does_not_make_a_pool_for_everybody(acme: Cast, as_marketer: Client) -> None:
    values = {
        "name": "for-all", "tenant": "", "members-TOTAL_FORMS": 0, "members-INITIAL_FORMS": 0,
    }  # fmt: skip
    answer = as_marketer.post(reverse("admin:egress_pool_add"), values)
    assert "This field is required" in answer.content.decode()
    assert not Pool.objects.filter(name="for-all").exists()


def test_autocomplete_offers_only_what_may_be_seen(
    acme: Cast, globex: Cast, as_marketer: Client
) -> None:
    asked = {"app_label": "tenants", "model_name": "stream", "field_name": "tenant"}
    answer = as_marketer.get(reverse("admin:autocomplete"), asked)
    assert [row["text"] for row in answer.json()["results"]] == ["acme"]


def test_what_operators_set_is_looked_at_only(acme: Cast, as_marketer: Client) -> None:
    schedule = WarmupSchedule.objects.create(name="gentle")
    change = reverse("admin:egress_warmupschedule_change", args=[schedule.pk])
    assert as_marketer.get(change).status_code == 200
    assert as_marketer.post(change, {"name": "fast"}).status_code == 403
    tenant = reverse("admin:tenants_tenant_change", args=[acme.tenant.pk])
    assert as_marketer.post(tenant, {"quota_per_day": ""}).status_code == 403


def test_pages_outside_the_admin_are_scoped_too(
    acme: Cast, globex: Cast, as_marketer: Client
) -> None:
    mine, theirs = rows_of(acme), rows_of(globex)
    for page, table in (("message", "spool_message"), ("recipient", "spool_recipient")):
        for rows, status in ((mine, 200), (theirs, 404)):
            address = reverse(f"dashboard:{page}", args=[ids.encode(rows[table].pk)])
            assert as_marketer.get(address).status_code == status
    for name, status in (("acme", 200), ("globex", 404)):
        queue = reverse("dashboard:queue", args=[f"{name}-customer.test"])
        assert as_marketer.get(queue).status_code == status
    for address in ("/", "/queues/", f"/queues/?tenant={globex.tenant.pk}"):
        text = as_marketer.get(address).content.decode()
        assert "acme-customer.test" in text, address
        assert "globex" not in text, address
    text = as_marketer.get("/queues/?q=globex").content.decode()
    assert "No domain has" in text
    text = as_marketer.get("/search/?q=someone@globex-customer.test").content.decode()
    assert "Nothing found" in text


def test_strangers_are_asked_to_log_in(acme: Cast, client: Client) -> None:
    assert client.get("/").status_code == 200
    for address in ("/queues/", "/queues/x.test/", "/search/?q=a", "/messages/0000000000000/"):
        answer = client.get(address)
        assert answer.status_code == 302, address
        assert answer["Location"].startswith("/admin/login/")
    live = client.get("/queues/?part=rows", headers={"HX-Request": "true"})
    assert live.status_code == 401
    assert live["HX-Redirect"].startswith("/admin/login/")


def test_people_without_the_staff_mark_and_the_dismissed_see_nothing(
    acme: Cast, client: Client
) -> None:
    outsider = User.objects.create_user("out", role="operator")
    client.force_login(outsider)
    assert client.get("/queues/").status_code == 403
    assert not roles.may(outsider, Stream, "view")
    gone = User.objects.create_user("gone", is_staff=True, is_active=False, role="operator")
    assert not roles.is_operator(gone)
    assert not roles.is_staff(gone)
