"""Suppressions, domains, webhooks, quotas: what a tenant manages itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from mta import wiring
from mta.events.models import WebhookEndpoint
from mta.spool.models import Recipient
from mta.tenants.models import SendingDomain, Tenant
from tests.state.api.program import Program
from tests.state.api.requests import message


def test_a_suppression_is_added_once_and_holds_mail_back(program: Program) -> None:
    body = {"address": "Ann@Customer.Example", "origin": "asked by phone"}
    made = program.json("POST", "suppressions", body, expect=201)
    assert (made["address"], made["reason"], made["stream"]) == (
        "ann@customer.example", "manual", None,
    )  # fmt: skip
    assert program.json("POST", "suppressions", body, expect=200)["id"] == made["id"]
    program.call("POST", "messages", message("ann@customer.example"), expect=202)
    assert Recipient.objects.get().state == "suppressed"
    found = program.json("GET", "suppressions?address=ANN@customer.example")["items"]
    assert [row["id"] for row in found] == [made["id"]]
    program.call("DELETE", f"suppressions/{made['id']}", expect=204)
    program.call("GET", f"suppressions/{made['id']}", expect=404)


def test_a_suppression_of_one_stream_leaves_the_other(program: Program) -> None:
    body = {"address": "ann@customer.example", "stream": "bulk", "reason": "unsubscribe"}
    assert program.json("POST", "suppressions", body, expect=201)["stream"] == "bulk"
    sent = message("ann@customer.example")
    assert program.json("POST", "messages", sent, expect=202)["suppressed"] == 0
    assert program.json("POST", "messages", sent | {"stream": "bulk"}, expect=202)["suppressed"]
    wrong = {"address": "a@b.example", "stream": "nosuch"}
    problem = program.json("POST", "suppressions", wrong, expect=422)
    assert problem["errors"][0]["field"] == "stream"


def test_a_domain_comes_with_keys_and_records(program: Program) -> None:
    made = program.json("POST", "domains", {"domain": "Bücher.example"}, expect=201)
    assert made["domain"] == "xn--bcher-kva.example"
    assert {key["algorithm"] for key in made["dkim_keys"]} == {"rsa-sha256", "ed25519-sha256"}
    assert {record["purpose"] for record in made["dns_records"]} == {"dkim", "spf", "dmarc"}
    assert program.json("GET", "domains/b%C3%BCcher.example") == made
    program.call("POST", "messages", message(**{"from": "a@bücher.example"}), expect=202)
    problem = program.json("POST", "domains", {"domain": "shop.example"}, expect=409)
    assert problem["type"].endswith("#conflict")
    program.call("POST", "domains", {"domain": "a b"}, expect=422)
    assert b"PRIVATE" not in program.call("GET", "domains", expect=200).data
    assert SendingDomain.objects.count() == 2


def test_a_webhook_shows_its_secret_once(program: Program) -> None:
    body = {"url": "https://shop.example/events", "kinds": ["delivery"]}
    made = program.json("POST", "webhooks", body, expect=201)
    assert made["secret"].startswith("whsec_")
    assert WebhookEndpoint.objects.get().secret == made["secret"].encode()
    shown = program.json("GET", f"webhooks/{made['id']}")
    assert "secret" not in shown
    changed = program.json("PATCH", f"webhooks/{made['id']}", {"enabled": False})
    assert changed == shown | {"enabled": False}
    program.call("POST", "webhooks", body, expect=409)
    program.call("DELETE", f"webhooks/{made['id']}", expect=204)
    assert program.json("GET", "webhooks")["items"] == []


@pytest.mark.parametrize(
    "url", ["ftp://shop.example/", "shop.example", "https://", "https://a:b@c/", "http://[", "x"]
)
def test_webhook_addresses_that_cannot_be_called(program: Program, url: str) -> None:
    problem = program.json("POST", "webhooks", {"url": url}, expect=422)
    assert problem["errors"][0]["field"] == "url"


@pytest.fixture
def counting(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Limits on a real Redis that knows of no mail yet."""
    client = redis.Redis.from_url(redis_url)
    client.flushall()
    monkeypatch.setattr(wiring, "redis_client", lambda: client)
    wiring.limits.cache_clear()
    yield
    wiring.limits.cache_clear()
    client.close()


@pytest.mark.usefixtures("counting")
@pytest.mark.parametrize("span", ["hour", "day"])
def test_a_quota_ends_in_429(program: Program, span: str) -> None:
    Tenant.objects.filter(name="shop").update(**{f"quota_per_{span}": 3, "quota_action": "reject"})
    program.call("POST", "messages", message("a@c.example", "b@c.example"), expect=202)
    answer = program.call("POST", "messages", message("c@c.example", "d@c.example"), expect=429)
    assert 0 < int(answer.headers["Retry-After"]) <= 86400
    assert f"3 recipients per {span}".encode() in answer.data
    # What did not fit was not counted: one more still fits.
    program.call("POST", "messages", message("e@c.example"), expect=202)
    program.call("POST", "messages", message("f@c.example"), expect=429)
    assert Recipient.objects.count() == 3


@pytest.mark.usefixtures("counting")
def test_a_quota_that_delays_refuses_nothing(program: Program) -> None:
    Tenant.objects.filter(name="shop").update(quota_per_hour=1, quota_action="delay")
    program.call("POST", "messages", message("a@c.example", "b@c.example"), expect=202)
    assert Recipient.objects.count() == 2


def test_without_redis_mail_is_taken(program: Program) -> None:
    Tenant.objects.filter(name="shop").update(quota_per_hour=1, quota_action="reject")
    program.call("POST", "messages", message("a@c.example", "b@c.example"), expect=202)
