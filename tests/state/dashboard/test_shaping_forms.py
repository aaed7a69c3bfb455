"""Shaping rules and automations in the admin: what is refused at which field, what lists say."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from mta.delivery import shaping
from mta.egress.models import AutomationRule, ShapingRule
from mta.spool import waiting
from mta.spool.inject import inject
from mta.spool.models import Lane
from mta.storage.fields import now_ms
from tests.cast import Cast

GOOD = {"match_kind": "provider", "match": "google", "connections": 4, "enabled": "on"}
SLOW = {
    "name": "mine", "pattern": "slow down", "action": "slow", "threshold": 1,
    "window_seconds": 3600, "duration_seconds": 60, "rate_per_minute": 5, "enabled": "on",
}  # fmt: skip


def post(client: Client, table: str, values: dict[str, Any], *args: Any) -> dict[str, list[str]]:
    """Save a row; the errors by field, none when it was accepted."""
    page = "change" if args else "add"
    answer = client.post(reverse(f"admin:egress_{table}_{page}", args=args), values)
    if answer.status_code == 302:
        return {}
    assert answer.status_code == 200
    return dict(answer.context["adminform"].form.errors)


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({"match_kind": "default", "match": "google"}, "match", "a default rule do not fit"),
        ({"match_kind": "provider", "match": ""}, "match", "name what it is for"),
        ({"match_kind": "site", "match": "google.com."}, "match", "write it as google.com."),
        ({"match_kind": "site", "match": "*.x.test"}, "match", "write it as x.test."),
        ({"match_kind": "site", "match": "google"}, "match", "make it a provider rule."),
        ({"match": "gogle"}, "match", "known providers: apple, "),
        ({"connections": 0}, "connections", "0 must be above 0."),
        ({"connections": ""}, "__all__", "This rule sets nothing: give at least one limit."),
        ({"messages_per_second": 0}, "messages_per_second", "Give more than 0"),
        ({"messages_per_day": -1}, "messages_per_day", ""),
        ({"match_kind": "site", "match": "aspmx.l.google.com", "connections": 6}, "connections",
         "6 can never be used: rule 'google' lets all sites of google together have 5;"),
        ({"match_kind": "site", "match": "x.test", "messages_per_minute": 7000},
         "messages_per_minute", "7000 can never be reached"),
        ({"burst": 500, "messages_per_hour": 100}, "burst", "more than messages_per_hour 100"),
        ({"retry_steps": "5m,soon"}, "retry_steps", "'soon' is no wait"),
        ({"retry_steps": "2h", "life_hours": 1}, "life_hours", "gone before its first retry"),
        ({"dot_timeout": 0}, "dot_timeout", "must be above 0"),
    ],
)  # fmt: skip
def test_a_rule_is_refused_at_its_field(
    values: dict[str, Any], field: str, words: str, db: None, as_operator: Client
) -> None:
    errors = post(as_operator, "shapingrule", {**GOOD, **values})
    assert list(errors) == [field], errors
    assert any(words in said for said in errors[field]), errors
    assert not ShapingRule.objects.exists()


def test_every_value_of_a_rule_has_a_field(acme: Cast, as_operator: Client) -> None:
    every = {
        "match_kind": "site", "match": " MX1.Example.ORG ", "source": acme.source.pk,
        "connections": 2, "connections_per_minute": 20, "messages_per_connection": 10,
        "tls": "required", "messages_per_second": 2.5, "burst": 9, "retry_steps": "5m,1h",
        "life_hours": 24, "dot_timeout": 30, "connect_timeout": 5, "enabled": "on",
    }  # fmt: skip
    assert post(as_operator, "shapingrule", every) == {}
    row = ShapingRule.objects.get()
    assert (row.match, row.source, row.burst, row.retry_steps) == (
        "mx1.example.org", acme.source, 9, "5m,1h")  # fmt: skip
    page = html.unescape(as_operator.get(reverse("admin:egress_shapingrule_add")).content.decode())
    fields = {field.name for field in ShapingRule._meta.fields} - {"id"}
    assert [name for name in fields if f'name="{name}"' not in page] == []


def test_a_rule_is_judged_beside_the_others_but_not_against_itself(
    db: None, as_operator: Client
) -> None:
    assert post(as_operator, "shapingrule", {**GOOD, "messages_per_minute": 60}) == {}
    row = ShapingRule.objects.get()
    assert post(as_operator, "shapingrule", {**GOOD, "messages_per_minute": 120}, row.pk) == {}
    site = {"match_kind": "site", "match": "google.com", "messages_per_minute": 150}
    (said,) = post(as_operator, "shapingrule", site)["messages_per_minute"]
    assert "messages_per_minute 120 of rule 'admin: provider google'" in said
    row.delete()
    assert post(as_operator, "shapingrule", site) == {}


def test_a_providers_rule_may_be_for_one_source(acme: Cast, as_operator: Client) -> None:
    assert post(as_operator, "shapingrule", {**GOOD, "source": acme.source.pk}) == {}
    whole = {"match_kind": "default", "connections": 3, "source": acme.source.pk}
    assert "Is no use in a default" in post(as_operator, "shapingrule", whole)["source"][0]


def test_a_provider_is_made_by_its_suffixes(acme: Cast, as_operator: Client) -> None:
    values = {
        "match_kind": "provider", "match": "t-online", "connections": 3, "enabled": "on",
        "mx_suffixes": "mx00.T-Online.de, t-online.net",
    }  # fmt: skip
    assert (
        "known providers"
        in post(as_operator, "shapingrule", {**values, "mx_suffixes": ""})["match"][0]
    )
    dotted = {**values, "mx_suffixes": "t-online.de."}
    (said,) = post(as_operator, "shapingrule", dotted)["mx_suffixes"]
    assert said == "Suffix 't-online.de.' never matches; write it as t-online.de."
    (said,) = post(as_operator, "shapingrule", {**values, "mx_suffixes": "web.de"})["mx_suffixes"]
    assert "already belongs to 'gmx'" in said
    named = {**values, "match": "t online"}
    assert "no provider's name" in post(as_operator, "shapingrule", named)["match"][0]
    assert post(as_operator, "shapingrule", values) == {}
    hosts = ["mx00.t-online.de", "mx01.t-online.net"]
    shaping._last.clear()
    found = shaping.limits_of_path("any", hosts)
    assert (found.provider, found.across["connections"]) == (
        "t-online", (3, "admin: provider t-online"))  # fmt: skip
    of_one = {**GOOD, "mx_suffixes": "x.test", "source": acme.source.pk}
    assert "for every source" in post(as_operator, "shapingrule", of_one)["mx_suffixes"][0]
    own = {**SLOW, "provider": "t-online"}
    assert post(as_operator, "automationrule", own) == {}


def test_an_empty_field_shows_what_holds(db: None, as_operator: Client) -> None:
    row = ShapingRule.objects.create(match_kind="provider", match="google", connections=4)
    url = reverse("admin:egress_shapingrule_change", args=[row.pk])
    page = html.unescape(as_operator.get(url).content.decode())
    (box,) = re.findall(r'<input[^>]*name="messages_per_connection"[^>]*>', page)
    assert 'placeholder="50 (google)"' in box
    (box,) = re.findall(r'<input[^>]*name="messages_per_second"[^>]*>', page)
    assert 'placeholder="100 (default)"' in box
    (box,) = re.findall(r'<input[^>]*name="burst"[^>]*>', page)
    assert "placeholder=" not in box


def test_the_list_says_what_a_rule_sets(acme: Cast, as_operator: Client) -> None:
    ShapingRule.objects.create(
        match_kind="site", match="x.test", source=acme.source, connections=2, tls="required",
        messages_per_hour=90, retry_steps="5m", life_hours=4, dot_timeout=9,
    )  # fmt: skip
    page = as_operator.get(reverse("admin:egress_shapingrule_changelist")).content.decode()
    assert "x.test from acme-source" in page
    assert "2 connections, 90 an hour, TLS required, retry 5m, life 4 h, 1 time-out" in page


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({"provider": "goggle"}, "provider", "'goggle' has no MX suffixes in the shaping rules"),
        ({"pattern": "slow (down"}, "pattern", "does not compile"),
        ({"pattern": "slow\\\\s+down"}, "pattern", "doubled backslash"),
        ({"pattern": "^421 slow down"}, "pattern", "expects the code in the text"),
        ({"pattern": "Slow down"}, "pattern", "upper-case"),
        ({"pattern": "(slow)?"}, "pattern", "matches the empty text"),
        ({"pattern": "(slow+)+"}, "pattern", "repeats a repeat"),
        ({"pattern": "server busy"}, "", ""),
        ({"rate_per_minute": ""}, "rate_per_minute", "Is missing; slow needs it."),
        ({"action": "suspend"}, "rate_per_minute", "Is never used by suspend"),
        ({"duration_seconds": 9_999_999}, "duration_seconds", "make a suspension"),
        ({"duration_seconds": ""}, "duration_seconds", "required"),
        ({"connections": 0}, "", ""),
        ({"name": "Two Words"}, "name", ""),
    ],
)
def test_an_automation_is_refused_at_its_field(
    values: dict[str, Any], field: str, words: str, db: None, as_operator: Client
) -> None:
    errors = post(as_operator, "automationrule", {**SLOW, **values})
    assert list(errors) == ([field] if field else []), errors
    assert not field or any(words in said for said in errors[field]), errors


def test_the_list_says_what_an_automation_does(db: None, as_operator: Client) -> None:
    AutomationRule.objects.create(
        name="mine", pattern="slow down", action="slow", threshold=3, rate_per_minute=5,
        connections=1, duration_seconds=1800,
    )  # fmt: skip
    page = as_operator.get(reverse("admin:egress_automationrule_changelist")).content.decode()
    assert "3 replies in 1 h" in page
    assert "slow, 1 connection, 5 a minute, for 30 min" in page


@pytest.mark.parametrize("way", ["save", "delete"])
def test_what_waits_for_a_limit_is_looked_at_when_all_have_heard(
    way: str, acme: Cast, as_operator: Client, django_capture_on_commit_callbacks: Any
) -> None:
    row = ShapingRule.objects.create(match_kind="provider", match="google", connections=4)
    inject([acme.message("you@example.org")])
    lane = Lane.objects.get()
    far = now_ms() + 3_600_000
    waiting.put_off([waiting.PutOff(lane.pk, far, "hour:out-1:mx.example.org", "limit: used up")])
    before = now_ms()
    with django_capture_on_commit_callbacks(execute=True):
        if way == "save":
            assert post(as_operator, "shapingrule", {**GOOD, "connections": 5}, row.pk) == {}
        else:
            url = reverse("admin:egress_shapingrule_delete", args=[row.pk])
            assert as_operator.post(url, {"post": "yes"}).status_code == 302
    lane.refresh_from_db()
    assert (lane.gate, lane.hold_reason) == ("", "")
    # Not before the last process has read the new rules, and within five seconds.
    due = round(lane.due_at.timestamp() * 1000)
    assert due - before > shaping.KEEP_SECONDS * 1000
    assert due - now_ms() < 5_000


def test_only_operators_shape(acme: Cast, as_marketer: Client) -> None:
    for table in ("shapingrule", "automationrule"):
        answer = as_marketer.get(reverse(f"admin:egress_{table}_changelist"))
        assert answer.status_code == 403
