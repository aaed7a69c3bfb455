"""The layers of shaping rules, the shipped table, and the faults a table may have."""

from typing import Any

import pytest

from mta.policy.shaping import (
    EgressLimits,
    ShapingError,
    ShapingRule,
    limits_for,
    load_rules,
    parse_rules,
    validate,
)

SHIPPED = load_rules()
OURS: dict[str, Any] = {"site": "mx.example.net", "mx_hosts": ["mx.example.net"]}


def test_the_shipped_rules_have_no_problem() -> None:
    assert validate(SHIPPED) == []


@pytest.mark.parametrize(
    ("host", "provider", "connections", "per_connection", "tls"),
    [
        ("mx.example.net", "", 10, 100, "opportunistic"),
        ("gmail-smtp-in.l.google.com", "google", 5, 50, "required"),
        ("mta5.am0.yahoodns.net", "yahoo", 10, 20, "opportunistic"),
        ("hotmail-com.olc.protection.outlook.com", "outlook", 5, 50, "opportunistic"),
        ("example-com.mail.protection.outlook.com", "office365", 5, 50, "opportunistic"),
        ("mx01.mail.icloud.com", "apple", 10, 5, "opportunistic"),
        ("mx.comcast.net", "comcast", 25, 1000, "required"),
        ("mx01.gmx.net", "gmx", 4, 20, "required"),
        ("mx3.qq.com", "qq", 4, 8, "required"),
        ("163mx01.mxmail.netease.com", "netease", 4, 7, "opportunistic"),
        ("smtp-in.orange.fr", "orange", 2, 100, "required"),
    ],
)
def test_the_table(host: str, provider: str, connections: int, per_connection: int, tls: str):
    explained = limits_for(SHIPPED, site=host, mx_hosts=[host])
    limits = explained.limits
    assert explained.provider == provider
    assert (limits.connections, limits.messages_per_connection, limits.tls) == (
        connections,
        per_connection,
        tls,
    )
    assert explained.origin["connections"] == (provider or "default")


def test_layers_win_in_order_and_say_so() -> None:
    rules = [
        *SHIPPED,
        ShapingRule("one source", "site", "example.net", {"connections": 1}, source="out1"),
        ShapingRule("my site", "site", "mx.example.net", {"connections": 3, "tls": "none"}),
        ShapingRule("my default", "default", "", {"connections": 7, "messages_per_second": 2.5}),
    ]
    plain = limits_for(rules, **OURS)
    assert plain.limits.connections == 3
    assert plain.limits.messages_per_second == 2.5
    assert plain.limits.burst == 3
    assert plain.origin["tls"] == "my site"
    assert plain.origin["burst"] == plain.origin["messages_per_second"] == "my default"
    assert limits_for(rules, **OURS, source="out1").limits.connections == 1
    assert limits_for(rules, **OURS, source="out1").origin["connections"] == "one source"
    assert limits_for(rules, **OURS, source="out2").limits.connections == 3


def test_an_operator_overrides_a_provider_by_name() -> None:
    rules = [*SHIPPED, ShapingRule("gently", "provider", "google", {"connections": 1})]
    host = "aspmx.l.google.com"
    assert limits_for(rules, site=host, mx_hosts=[host]).limits.connections == 1


def test_a_bad_value_never_stops_mail() -> None:
    rules = [ShapingRule("bad", "default", "", {"connections": 0, "tls": "maybe", "colour": 1})]
    assert limits_for(rules, **OURS).limits == EgressLimits()
    assert limits_for([], **OURS).limits == EgressLimits()


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        (ShapingRule("a", "provider", "a", {"connections": 1}), "no rule gives MX suffixes"),
        (ShapingRule("a", "provider", "a", {"connections": 1}, ("a.example.",)), "never matches"),
        (ShapingRule("a", "provider", "a", {"connections": 1}, ("*.a.example",)), "never matches"),
        (ShapingRule("a", "provider", "a", {"connections": 1}, ("A.example",)), "never matches"),
        (ShapingRule("a", "provider", "a", {"connections": 1}, ("example",)), "no host suffix"),
        (ShapingRule("a", "provider", "a", {"tls": "none"}, ("google.com",)), "already belongs"),
        (ShapingRule("a", "site", "mx.example", {}), "sets nothing"),
        (ShapingRule("a", "site", "", {"connections": 1}), "do not fit"),
        (ShapingRule("a", "default", "x", {"connections": 1}), "do not fit"),
        (ShapingRule("a", "moon", "x", {"connections": 1}), "match kind 'moon'"),
        (ShapingRule("a", "site", "m.example", {"connections": 0}), "above 0"),
        (ShapingRule("a", "site", "m.example", {"connections": 1.5}), "whole number"),
        (ShapingRule("a", "site", "m.example", {"connections": True}), "no number"),
        (ShapingRule("a", "site", "m.example", {"tls": "maybe"}), "none of none"),
        (ShapingRule("a", "site", "m.example", {"speed": 1}), "speed is no limit"),
    ],
)
def test_validate_finds(rule: ShapingRule, problem: str) -> None:
    found = validate([*SHIPPED, rule])
    assert len(found) >= 1
    assert any(problem in sentence for sentence in found), found


def test_validate_wants_a_whole_default() -> None:
    assert any("tls is missing" in text for text in validate(parse_rules("[default]\nburst = 1")))


@pytest.mark.parametrize(
    "toml", ["[default", "x = 1", "[provider.a]", "[default]\n[provider]\na = 1", "default = 1",
             "[default]\n[provider.a]\nmx = 'a.example'"],
)  # fmt: skip
def test_what_is_no_table_is_refused(toml: str) -> None:
    with pytest.raises(ShapingError):
        parse_rules(toml)
