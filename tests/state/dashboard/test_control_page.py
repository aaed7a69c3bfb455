"""Control mail: a form, a count, a confirmation; a marketer reaches own tenants only."""

from __future__ import annotations

import html
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from mta.egress.models import Pool, Source
from mta.events.models import Decision
from mta.spool.inject import inject
from mta.spool.models import Recipient
from tests.cast import Cast


def post(client: Client, **values: Any) -> Any:
    return client.post(reverse("dashboard:control"), values)


def text_of(answer: Any) -> str:
    assert answer.status_code == 200
    return html.unescape(answer.content.decode())


def states(cast: Cast) -> list[str]:
    rows = Recipient.objects.filter(message__tenant=cast.tenant).order_by("pk")
    return list(rows.values_list("state", flat=True))


@pytest.fixture
def mail(acme: Cast, globex: Cast) -> None:
    inject([acme.message("ann@x.test", "bob@y.test", campaign="spring")])
    inject([globex.message("cy@x.test", campaign="spring")])


@pytest.mark.usefixtures("mail")
def test_an_order_is_counted_then_confirmed(acme: Cast, globex: Cast, as_operator: Client) -> None:
    page = reverse("dashboard:control")
    assert 'value="x.test"' in text_of(as_operator.get(page, {"domain": "x.test"}))
    values = {"order": "hold", "domain": "x.test", "reason": "look first"}
    asked = text_of(post(as_operator, **values))
    assert "Hold this mail?" in asked
    assert "acme 1" in asked
    assert "globex 1" in asked
    assert states(acme) == ["scheduled"] * 2
    assert post(as_operator, **values, _confirmed="1").status_code == 302
    assert states(acme) == ["held", "scheduled"]
    assert states(globex) == ["held"]
    told = Decision.objects.get()
    assert (told.kind, told.actor, told.count, told.reason) == ("hold", "olga", 2, "look first")


@pytest.mark.usefixtures("mail")
@pytest.mark.parametrize(
    ("order", "more", "after"),
    [
        ("bounce", {}, "admin_bounced"),
        ("cancel", {"campaign": "spring"}, "admin_bounced"),
        ("retry", {}, "scheduled"),
        ("move", {"pool": "slow"}, "scheduled"),
    ],
)
def test_every_order_reaches_its_mail_alone(
    acme: Cast, globex: Cast, as_operator: Client, order: str, more: dict[str, Any], after: str
) -> None:
    slow = Pool.objects.create(name="slow")
    if "pool" in more:
        more = {"pool": slow.pk}
    values = {"order": order, "tenant": "acme", **more, "_confirmed": "1"}
    assert post(as_operator, **values).status_code == 302
    assert states(acme) == [after] * 2
    assert states(globex) == ["scheduled"]
    moved = Recipient.objects.filter(lane__pool_id=slow.pk).count()
    assert moved == (2 if order == "move" else 0)
    assert Decision.objects.get().kind == order


@pytest.mark.usefixtures("mail")
def test_what_does_not_fit_is_named(acme: Cast, as_operator: Client) -> None:
    assert "which mail is meant" in text_of(post(as_operator, order="hold"))
    assert "no campaign" in text_of(
        post(as_operator, order="cancel", tenant="acme", campaign="autumn")
    ).replace("has no mail of a campaign", "no campaign")
    text = text_of(post(as_operator, order="move", tenant="acme"))
    assert "choose the pool" in text
    theirs = Pool.objects.get(tenant=acme.tenant)
    text = text_of(post(as_operator, order="move", domain="x.test", pool=theirs.pk))
    assert "belongs to tenant acme" in text
    assert "is no duration" in text_of(post(as_operator, order="hold", older_than="long"))
    assert set(states(acme)) == {"scheduled"}


@pytest.mark.usefixtures("mail")
def test_a_marketer_orders_over_own_tenants(acme: Cast, globex: Cast, as_marketer: Client) -> None:
    assert "globex" not in text_of(as_marketer.get(reverse("dashboard:control")))
    for tenant in ({}, {"tenant": ""}, {"tenant": "globex"}):
        answer = post(as_marketer, order="bounce", domain="x.test", _confirmed="1", **tenant)
        assert answer.status_code == 200
    assert set(states(acme) + states(globex)) == {"scheduled"}
    theirs = Pool.objects.get(tenant=globex.tenant)
    answer = post(as_marketer, order="move", tenant="acme", pool=theirs.pk, _confirmed="1")
    assert "Select a valid choice" in text_of(answer)
    assert post(as_marketer, order="hold", tenant="acme", _confirmed="1").status_code == 302
    assert states(acme) == ["held"] * 2


def test_a_source_is_drained_from_its_list(acme: Cast, as_operator: Client) -> None:
    page = reverse("admin:egress_source_changelist")
    values = {"action": "drain", "_selected_action": [acme.source.pk]}
    asked = text_of(as_operator.post(page, values))
    assert "Drain acme-source?" in asked
    assert Source.objects.get().status == "active"
    assert as_operator.post(page, {**values, "_confirmed": "1"}).status_code == 302
    assert Source.objects.get().status == "draining"
    values["action"] = "undrain"
    assert as_operator.post(page, {**values, "_confirmed": "1"}).status_code == 302
    assert Source.objects.get().status == "active"
    assert list(Decision.objects.order_by("id").values_list("kind", flat=True)) == [
        "drain", "undrain",
    ]  # fmt: skip
