"""Routing rules and smart hosts in the admin: what is refused, what is shown, and the preview."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.test import Client

from dashboard.forms.routing import TryForm
from dashboard.pages import routing as page
from mta import wiring
from mta.delivery.routing_rules import problems
from mta.egress.models import Pool, RoutingRule, Source
from mta.limits.tally import Counted, Tally
from mta.net.dns import MxHost, ResolveError, Route
from tests.cast import Cast

pytestmark = pytest.mark.django_db
RULES = "/admin/egress/routingrule/"
SOURCES = "/admin/egress/source/"
EXAMPLE = "domain_bounce_rate > 0.05 and domain_attempts >= 20"


@pytest.fixture
def tally(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tally]:
    with redis.Redis.from_url(redis_url) as client:
        client.flushdb()
        counts = Tally(client)
        monkeypatch.setattr(wiring, "tally", lambda: counts)
        yield counts


@pytest.fixture(autouse=True)
def _no_dns(monkeypatch: pytest.MonkeyPatch) -> None:
    def route_to(domain: str) -> Route | ResolveError:
        if domain == "nowhere.test":
            return ResolveError(True, 550, "5.1.2", "domain nowhere.test does not exist")
        host = MxHost("gmail-smtp-in.l.google.com", 5, ("192.0.2.1",))
        return Route(domain, (host,), 0.0)

    monkeypatch.setattr(page, "route_to", route_to)


def rule_form(**values: Any) -> dict[str, Any]:
    fields = {
        "position": 1, "name": "slow-down", "condition": EXAMPLE, "action": "hold", "pool": "",
        "source": "", "priority": "", "reason": "", "enabled": "on", "note": "",
    }  # fmt: skip
    return fields | values


def source_form(**values: Any) -> dict[str, Any]:
    fields = {
        "name": "relay", "kind": "smart_host", "status": "active", "host": "smtp.relay.test",
        "port": "", "tls": "required", "username": "mill", "new_password": "a secret word",
        "address": "", "ehlo_name": "", "warmup_schedule": "", "warmup_started_on": "",
        "messages_per_second": "", "messages_per_hour": "", "messages_per_day": "",
        "memberships-TOTAL_FORMS": "0", "memberships-INITIAL_FORMS": "0",
    }  # fmt: skip
    return fields | values


def posted(client: Client, url: str, values: dict[str, Any]) -> dict[str, list[str]]:
    """The errors of the form, {} when it was saved."""
    response = client.post(url, values)
    if response.status_code == 302:
        return {}
    assert response.status_code == 200
    errors: dict[str, list[str]] = response.context["adminform"].form.errors
    return errors


def test_a_rule_is_saved(as_operator: Client) -> None:
    slow = Pool.objects.create(name="slow")
    assert posted(as_operator, f"{RULES}add/", rule_form(action="pool", pool=slow.pk)) == {}
    saved = RoutingRule.objects.get()
    assert (saved.condition, saved.action, saved.pool) == (EXAMPLE, "pool", slow)
    listed = as_operator.get(RULES).content.decode()
    assert "slow-down" in listed
    assert "domain_bounce_rate &gt; 0.05" in listed


@pytest.mark.parametrize(
    ("values", "field", "said"),
    [
        ({"condition": "domain_bounce_rat > 0.05"}, "condition", "Did you mean domain_bounce_rate"),
        ({"condition": "domain > 5"}, "condition", "mixes them"),
        ({"condition": "size"}, "condition", "compare it"),
        ({"action": "pool"}, "pool", "Choose the pool"),
        ({"action": "source"}, "source", "Choose the source"),
        ({"action": "priority"}, "priority", "Choose the priority"),
        ({"action": "reject"}, "reason", "Say why"),
        ({"action": "reject", "reason": "Grüße"}, "reason", "ASCII"),
    ],
)
def test_what_is_refused_stands_at_its_field(
    values: dict[str, Any], field: str, said: str, as_operator: Client
) -> None:
    errors = posted(as_operator, f"{RULES}add/", rule_form(**values))
    assert list(errors) == [field]
    assert said in errors[field][0]
    assert not RoutingRule.objects.exists()


def test_what_an_action_does_not_need_is_dropped(as_operator: Client) -> None:
    slow = Pool.objects.create(name="slow")
    values = rule_form(action="hold", pool=slow.pk, priority="bulk")
    assert posted(as_operator, f"{RULES}add/", values) == {}
    saved = RoutingRule.objects.get()
    assert (saved.pool, saved.priority) == (None, "")


@pytest.mark.parametrize("url", [RULES, f"{RULES}add/", "/routing/"])
def test_routing_is_for_operators(url: str, as_marketer: Client) -> None:
    assert as_marketer.get(url).status_code == 403


def tried(client: Client, acme: Cast, **values: Any) -> str:
    query: dict[str, Any] = {"stream": acme.bulk.pk, "to": "a@gmail.com"} | values
    response = client.get("/routing/", query)
    assert response.status_code == 200
    return response.content.decode()


def test_the_preview_names_the_rule_that_decides(
    as_operator: Client, acme: Cast, tally: Tally
) -> None:
    slow = Pool.objects.create(name="slow")
    make = RoutingRule.objects.create
    make(position=1, name="off", condition="true", action="hold", enabled=False)
    make(position=2, name="broken", condition="1 / (size - size) > 1", action="hold")
    make(position=3, name="other", condition='provider == "yahoo"', action="hold")
    make(position=4, name="bouncing", condition=EXAMPLE, action="pool", pool=slow)
    make(position=5, name="late", condition='campaign == "may"', action="hold")
    tally.add([Counted("domain", "gmail.com", "bounced", 10)])
    tally.add([Counted("domain", "gmail.com", "delivered", 30)])
    shown = tried(as_operator, acme, campaign="may")
    says = [one.says for one, _, _ in page.answer(page_form(acme, campaign="may"))["tried"]]  # type: ignore[attr-defined]
    assert says == ["off", "trouble", "no", "decides", "holds"]
    assert "bouncing</a> decides: pool slow" in shown
    assert "division by zero" in shown
    assert "<code>domain_bounce_rate</code></td><td>0.250" in shown


def page_form(acme: Cast, **values: Any) -> TryForm:
    form = TryForm({"stream": acme.bulk.pk, "to": "a@gmail.com"} | values)
    assert form.is_valid()
    return form


def test_the_preview_without_rules(as_operator: Client, acme: Cast, tally: Tally) -> None:
    assert "goes as its stream says" in tried(as_operator, acme)


def test_the_preview_of_a_domain_without_a_route(
    as_operator: Client, acme: Cast, tally: Tally
) -> None:
    assert "does not exist" in tried(as_operator, acme, to="a@nowhere.test")


def test_the_preview_of_no_address(as_operator: Client, acme: Cast) -> None:
    assert "Not an address" in tried(as_operator, acme, to="nobody")


def test_problems_for_check_rules(db: None) -> None:
    make = RoutingRule.objects.create
    make(position=1, name="bad", condition="nothing > 1", action="hold")
    make(position=2, name="all", condition=" true ", action="hold")
    make(position=3, name="never", condition="size > 1", action="hold")
    make(position=4, name="off", condition="size >", action="hold", enabled=False)
    bad, never = problems()
    assert bad.startswith("routing rule 'bad': There is no name 'nothing'")
    assert never.startswith("routing rule 'never': never asked, because 'all'")


def test_a_smart_host_is_saved_and_its_password_never_shown(as_operator: Client) -> None:
    assert posted(as_operator, f"{SOURCES}add/", source_form()) == {}
    saved = Source.objects.get()
    assert (saved.host, saved.port, bytes(saved.password or b"")) == (
        "smtp.relay.test", None, b"a secret word",
    )  # fmt: skip
    url = f"{SOURCES}{saved.pk}/change/"
    shown = as_operator.get(url).content.decode()
    assert "smtp.relay.test" in shown
    assert "a secret word" not in shown
    # An empty field keeps the password; without a user name there is none.
    assert posted(as_operator, url, source_form(new_password="", port="2525")) == {}
    saved.refresh_from_db()
    assert (saved.port, bytes(saved.password or b"")) == (2525, b"a secret word")
    assert posted(as_operator, url, source_form(new_password="", username="")) == {}
    saved.refresh_from_db()
    assert saved.password is None


@pytest.mark.parametrize(
    ("values", "field", "said"),
    [
        ({"host": ""}, "host", "Give the name"),
        ({"host": "not a name!"}, "host", "Not a domain name"),
        ({"tls": "opportunistic"}, "tls", "never sent in the clear"),
        ({"tls": "none"}, "tls", "never sent in the clear"),
        ({"new_password": ""}, "new_password", "Give the password"),
        ({"username": ""}, "username", "Give the user name"),
        (
            {"username": "", "new_password": "", "tls": "none", "port": "465"},
            "tls",
            "from the first byte",
        ),
        ({"port": "65536"}, "port", "65535"),
    ],
)
def test_a_smart_host_that_cannot_work_is_refused(
    values: dict[str, Any], field: str, said: str, as_operator: Client
) -> None:
    errors = posted(as_operator, f"{SOURCES}add/", source_form(**values))
    assert list(errors) == [field]
    assert said in errors[field][0]


def test_an_address_keeps_nothing_of_a_smart_host(as_operator: Client) -> None:
    assert posted(as_operator, f"{SOURCES}add/", source_form(kind="address")) == {}
    saved = Source.objects.get()
    assert (saved.host, saved.username, saved.password) == ("", "", None)


def test_marketers_do_not_see_how_we_log_in(as_marketer: Client, acme: Cast) -> None:
    Source.objects.filter(pk=acme.source.pk).update(
        kind="smart_host", host="smtp.relay.test", username="mill-at-relay"
    )
    shown = as_marketer.get(f"{SOURCES}{acme.source.pk}/change/")
    assert shown.status_code == 200
    assert "mill-at-relay" not in shown.content.decode()
