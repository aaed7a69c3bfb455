"""The layers of shaping rules, what holds across a provider, and the shipped table."""

from typing import Any

import pytest

from mta.policy.shaping import (
    EgressLimits,
    Explained,
    ShapingError,
    ShapingRule,
    limits_for,
    load_rules,
    parse_rules,
)
from mta.policy.site import site_name

SHIPPED = load_rules()
OURS: dict[str, Any] = {"site": "mx.example.net", "mx_hosts": ["mx.example.net"]}


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


def google(*rules: ShapingRule, source: str = "") -> Explained:
    hosts = ["aspmx.l.google.com", "alt1.aspmx.l.google.com"]
    return limits_for([*SHIPPED, *rules], site=site_name(hosts), mx_hosts=hosts, source=source)


def test_a_providers_limits_hold_across_its_sites() -> None:
    plain = google()
    assert plain.across == {"connections": (5, "google")}
    assert not plain.alone("connections")
    assert plain.alone("connections_per_minute")
    assert limits_for(SHIPPED, **OURS).across == {}


def test_rules_of_a_provider_add_up_its_suffixes() -> None:
    more = ShapingRule("more", "provider", "google", {}, ("google.test",))
    hosts = ["aspmx.l.google.com", "mx.google.test"]
    found = limits_for([*SHIPPED, more], site="any", mx_hosts=hosts)
    assert (found.provider, found.limits.connections) == ("google", 5)


def test_a_site_of_a_provider_has_its_own_limit_beside() -> None:
    mine = ShapingRule("mine", "site", "google.com", {"connections": 2, "messages_per_hour": 60})
    found = google(mine)
    assert found.limits.connections == 2
    assert found.across["connections"] == (5, "google")
    assert found.alone("connections")
    assert {(rate.name, rate.across) for rate in found.rates()} == {
        ("messages_per_second", False), ("messages_per_hour", False)}  # fmt: skip


def test_a_providers_rule_for_one_source_lies_under_a_site() -> None:
    one = ShapingRule("one", "provider", "google", {"connections": 1}, source="out1")
    site = ShapingRule("site", "site", "google.com", {"connections": 3})
    assert google(one, site, source="out1").limits.connections == 3
    assert google(one, site, source="out1").across["connections"] == (1, "one")
    assert google(one, source="out1").origin["connections"] == "one"
    assert google(one, source="out2").across["connections"] == (5, "google")


def test_a_slower_rate_has_a_greater_burst() -> None:
    """A tenth of a minute's, a minute's of an hour's, an hour's of a day's: each rounded up."""
    values = {
        "messages_per_second": 2.5, "messages_per_minute": 61, "messages_per_hour": 61,
        "messages_per_day": 20_000,
    }  # fmt: skip
    rule = ShapingRule("gently", "provider", "google", values)
    rates = {rate.name: rate for rate in google(rule).rates()}
    assert set(rates) == set(values)
    assert [round(rates[name].per_second, 6) for name in values] == [
        2.5,
        1.016667,
        0.016944,
        0.231481,
    ]
    assert [rates[name].burst for name in values] == [3, 7, 2, 834]
    assert all(rate.across and rate.rule == "gently" for rate in rates.values())
    rare = ShapingRule("rare", "site", "m.example", dict.fromkeys(values, 0.5))
    assert {rate.burst for rate in example(rare).rates()} == {1}


def example(*rules: ShapingRule, source: str = "") -> Explained:
    return limits_for([*SHIPPED, *rules], site="m", mx_hosts=["m.example"], source=source)


def bursts(*rules: ShapingRule, source: str = "") -> dict[str, int]:
    return {rate.name: rate.burst for rate in example(*rules, source=source).rates()}


def at(source: str = "", **values: float) -> ShapingRule:
    return ShapingRule(f"at {source}", "site", "m.example", values, source=source)


def test_a_burst_is_that_of_the_fastest_rate_of_its_rule() -> None:
    per_second = at(messages_per_second=10, messages_per_day=20_000, burst=50)
    assert bursts(per_second) == {"messages_per_second": 50, "messages_per_day": 834}
    assert bursts(at(messages_per_hour=500, messages_per_day=5000, burst=40)) == {
        "messages_per_second": 100, "messages_per_hour": 40, "messages_per_day": 209}  # fmt: skip
    # Where there is no rate a second, or a rule says that there is none.
    assert bursts(at(messages_per_second=0, messages_per_hour=500, burst=40)) == {
        "messages_per_hour": 40}  # fmt: skip


def test_a_burst_without_a_rate_is_for_the_rate_below() -> None:
    assert bursts(at(burst=7)) == {"messages_per_second": 7}
    hourly = at(messages_per_hour=500, burst=40)
    assert bursts(hourly, at("out1", burst=7), source="out1") == {
        "messages_per_second": 100, "messages_per_hour": 7}  # fmt: skip


def test_a_rate_that_is_set_anew_has_its_own_burst_again() -> None:
    """A default with a burst of 1,000 must not let 1,000 go where one an hour is allowed."""
    wide = ShapingRule("wide", "default", "", {"messages_per_second": 900, "burst": 1000})
    assert bursts(wide, at(messages_per_hour=1)) == {
        "messages_per_second": 1000, "messages_per_hour": 1}  # fmt: skip
    found = example(wide, at(messages_per_second=2))
    assert [rate.burst for rate in found.rates()] == [2]
    assert (found.limits.burst, found.origin["burst"]) == (2, "at ")
    alone = limits_for([at(messages_per_hour=9, burst=5), at("out1", messages_per_hour=8)],
                       site="m", mx_hosts=["m.example"], source="out1")  # fmt: skip
    assert (alone.limits.burst, alone.origin["burst"]) == (EgressLimits().burst, "built-in")


def test_a_providers_burst_is_dropped_with_its_rate() -> None:
    wide = ShapingRule("wide", "provider", "google", {"messages_per_minute": 60, "burst": 30})
    one = ShapingRule("one", "provider", "google", {"messages_per_minute": 20}, source="out1")
    assert google(wide, one).across["burst"] == (30, "wide")
    found = google(wide, one, source="out1")
    assert "burst" not in found.across
    assert {rate.name: rate.burst for rate in found.rates()}["messages_per_minute"] == 2


def test_the_burst_of_a_site_is_not_that_of_its_provider() -> None:
    rule = ShapingRule("gently", "provider", "google", {"messages_per_second": 2})
    mine = ShapingRule("mine", "site", "google.com", {"messages_per_second": 1, "burst": 9})
    assert {(rate.burst, rate.across) for rate in google(rule, mine).rates()} == {
        (9, False), (2, True)}  # fmt: skip


def test_a_rate_of_zero_is_none() -> None:
    free = ShapingRule("free", "provider", "google", {"messages_per_second": 0})
    assert google(free).rates() == ()


def test_retry_and_life_are_the_streams_unless_a_rule_says() -> None:
    assert (google().limits.retry_steps, google().limits.life_hours) == ("", 0.0)
    rule = ShapingRule("patient", "provider", "google", {"retry_steps": "5m,1h", "life_hours": 72})
    assert (google(rule).limits.retry_steps, google(rule).limits.life_hours) == ("5m,1h", 72.0)


def test_a_bad_value_never_stops_mail() -> None:
    rules = [ShapingRule("bad", "default", "", {"connections": 0, "tls": "maybe", "colour": 1,
                                               "retry_steps": "soon"})]  # fmt: skip
    assert limits_for(rules, **OURS).limits == EgressLimits()
    assert limits_for([], **OURS).limits == EgressLimits()


@pytest.mark.parametrize(
    "toml", ["[default", "x = 1", "[provider.a]", "[default]\n[provider]\na = 1", "default = 1",
             "[default]\n[provider.a]\nmx = 'a.example'"],
)  # fmt: skip
def test_what_is_no_table_is_refused(toml: str) -> None:
    with pytest.raises(ShapingError):
        parse_rules(toml)
