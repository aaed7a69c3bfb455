"""No tenant sees or changes what belongs to another."""

from __future__ import annotations

import pytest

from mta.egress.models import Pool
from mta.egress.provision import Provisioned
from mta.events.models import WebhookEndpoint
from mta.mail.ids import encode
from mta.spool.models import Recipient
from mta.suppression.models import Suppression
from tests.state.api.program import Program
from tests.state.api.requests import message


@pytest.fixture
def ours(program: Program, made: Provisioned) -> dict[str, str]:
    """Addresses of what the tenant `shop` has."""
    sent = program.json("POST", "messages", message(), expect=202)
    suppression = program.json("POST", "suppressions", {"address": "cy@c.example"}, expect=201)
    webhook = program.json("POST", "webhooks", {"url": "https://shop.example/e"}, expect=201)
    Pool.objects.create(name="own", tenant=made.tenant)
    return {
        f"messages/{sent['id']}": "GET",
        f"messages/{sent['id']}/recipients": "GET",
        f"recipients/{encode(Recipient.objects.get().pk)}": "GET",
        f"suppressions/{suppression['id']}": "GET DELETE",
        f"webhooks/{webhook['id']}": "GET PATCH DELETE",
        "domains/shop.example": "GET",
    }


def test_single_things_are_not_there_for_others(
    program: Program, stranger: Program, ours: dict[str, str]
) -> None:
    for path, methods in ours.items():
        program.call("GET", path, expect=200)
        for method in methods.split():
            body = {"enabled": False} if method == "PATCH" else None
            stranger.call(method, path, body, expect=404)
    assert WebhookEndpoint.objects.get().enabled
    assert Suppression.objects.count() == 1


@pytest.mark.parametrize("path", ["events", "suppressions", "webhooks", "queues"])
def test_lists_hold_only_what_is_ones_own(
    program: Program, stranger: Program, ours: dict[str, str], path: str
) -> None:
    assert program.json("GET", path)["items"]
    assert stranger.json("GET", path)["items"] == []


def test_pools_and_domains_of_others_are_not_listed(
    program: Program, stranger: Program, ours: dict[str, str]
) -> None:
    assert {pool["name"] for pool in program.json("GET", "pools")["items"]} == {"default", "own"}
    (shared,) = stranger.json("GET", "pools")["items"]
    assert shared["shared"] is True
    # Which streams others have on it is not told.
    assert shared["streams"] == ["bulk", "transactional"]
    (domain,) = stranger.json("GET", "domains")["items"]
    assert domain["domain"] == "stranger.example"


def test_global_suppressions_are_not_told(program: Program, db: None) -> None:
    row = Suppression.objects.create(address="x@y.example", reason="manual")
    assert program.json("GET", "suppressions")["items"] == []
    program.call("DELETE", f"suppressions/{encode(row.pk)}", expect=404)
