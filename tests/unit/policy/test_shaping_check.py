"""Shaping rules that can never match, values that can never be used, and what is no fault."""

import pytest

from mta.policy.shaping import ShapingRule, load_rules, parse_rules
from mta.policy.shaping_check import problems_of, validate
from mta.policy.site import site_name

SHIPPED = load_rules()


def rule(kind: str, match: str, source: str = "", **values: object) -> ShapingRule:
    return ShapingRule("mine", kind, match, values, source=source)  # type: ignore[arg-type]  # bad values are the point


def provider(*suffixes: str, **values: float) -> ShapingRule:
    return ShapingRule("mine", "provider", "mine", values or {"connections": 1}, suffixes)


def faults(*rules: ShapingRule) -> list[tuple[str, str]]:
    return [(one.field, one.text) for one in problems_of([*SHIPPED, *rules]) if one.rule == "mine"]


def test_the_shipped_rules_have_no_problem() -> None:
    assert validate(SHIPPED) == []


@pytest.mark.parametrize(
    ("bad", "field", "says"),
    [
        (rule("provider", "goggle", connections=1), "match", "no MX suffixes in any rule; known"),
        (rule("provider", "", connections=1), "match", "do not fit"),
        (rule("site", "", connections=1), "match", "do not fit"),
        (rule("default", "x", connections=1), "match", "do not fit"),
        (rule("moon", "x", connections=1), "match_kind", "'moon' is none of"),
        (rule("site", "mx.example.net"), "values", "sets nothing"),
        (rule("default", "", "out1", connections=1), "source", "is no use in a default"),
        (rule("site", "mx.example.net.", connections=1), "match", "write it as mx.example.net"),
        (rule("site", "*.example.net", connections=1), "match", "write it as example.net"),
        (rule("site", "MX.example.net", connections=1), "match", "write it as mx.example.net"),
        (rule("site", "google", connections=1), "match", "make it a provider rule"),
        (rule("site", "net", connections=1), "match", "no host suffix"),
        (rule("site", "192.0.2.7", connections=1), "match", "no host suffix"),
        (rule("site", "you@example.net", connections=1), "match", "no host suffix"),
        (rule("site", "(b|a).example.net", connections=1), "match", "as (a|b).example.net"),
        (rule("site", "(a.x|b.x).net", connections=1), "match", "write it as (a|b).x.net"),
        (rule("site", "(a|b.example.net", connections=1), "match", "is no site name"),
        (rule("site", "(a|b*).example.net", connections=1), "match", "is no site name"),
        (rule("site", "(a|b).example~0123", connections=1), "match", "is no whole site name"),
        (ShapingRule("mine", "provider", "A b", {}, ("a.example",)), "match", "no provider's name"),
        (ShapingRule("mine", "provider", "a", {}, ("a.example",), "out1"), "mx", "every source"),
        (ShapingRule("mine", "site", "a.example", {"burst": 1}, ("a.example",)), "mx", "belongs"),
        (provider("a.example."), "mx", "never matches; write it as a.example"),
        (provider("*.a.example"), "mx", "never matches"),
        (provider("A.example"), "mx", "never matches"),
        (provider("example"), "mx", "no host suffix"),
        (provider("google.com"), "mx", "already belongs to 'google'"),
        (provider("a.example", "a.example"), "mx", "already belongs to 'mine'"),
        (provider("mx.a.example", "a.example"), "mx", "mx.a.example never decides, since"),
        (rule("site", "m.example", connections=0), "connections", "0 must be above 0"),
        (rule("site", "m.example", connections=1.5), "connections", "whole number"),
        (rule("site", "m.example", connections=True), "connections", "no number"),
        (rule("site", "m.example", dot_timeout="1"), "dot_timeout", "no number"),
        (rule("site", "m.example", messages_per_day=-1), "messages_per_day", "must be above 0"),
        (rule("site", "m.example", tls="maybe"), "tls", "is none of none"),
        (rule("site", "m.example", speed=1), "speed", "is no limit; known"),
        (rule("site", "m.example", retry_steps="5m,soon"), "retry_steps", "'soon' is no wait"),
        (rule("site", "m.example", retry_steps=5), "retry_steps", "is no text"),
    ],
)  # fmt: skip
def test_what_can_never_match_or_be_read(bad: ShapingRule, field: str, says: str) -> None:
    found = faults(bad)
    assert any(where == field and says in text for where, text in found), found


@pytest.mark.parametrize(
    ("bad", "field", "says"),
    [
        # The default's 100 a second are 6,000 a minute.
        (rule("site", "m.example", messages_per_minute=7000), "messages_per_minute",
         "7000 can never be reached: messages_per_second 100 of rule 'default' lets no more than"
         " 6000 through"),
        (rule("site", "m.example", messages_per_second=10, messages_per_minute=601),
         "messages_per_minute",
         "601 can never be reached: messages_per_second 10 lets no more than 600 through"),
        (rule("site", "m.example", messages_per_minute=10, messages_per_hour=601),
         "messages_per_hour", "601 can never be reached: messages_per_minute 10 lets no more"),
        (rule("site", "m.example", messages_per_hour=10, messages_per_day=241),
         "messages_per_day", "241 can never be reached: messages_per_hour 10"),
        (rule("site", "m.yahoo.co.jp", messages_per_second=20), "messages_per_second",
         "20 can never be reached: messages_per_second 10 of rule 'yahoo-japan'"),
        (rule("site", "aspmx.l.google.com", connections=6), "connections",
         "6 can never be used: rule 'google' lets all sites of google together have 5"),
        (rule("site", "m.example", burst=500, messages_per_hour=300), "burst",
         "a burst of 500 at once is more than messages_per_hour 300"),
        (rule("site", "m.example", burst=500, messages_per_second=5, messages_per_day=300), "burst",
         "messages_per_day 300"),
        (rule("site", "m.example", messages_per_connection=60, messages_per_day=50),
         "messages_per_connection", "60 can never be used: messages_per_day is 50"),
        (rule("provider", "google", messages_per_day=40), "messages_per_connection", ""),
        (rule("site", "m.example", connections=9, messages_per_day=5), "connections",
         "9 can never be used"),
        (rule("site", "m.example", retry_steps="2h,4h", life_hours=1), "life_hours",
         "lives 1 hours is gone before its first retry after 7200 s"),
        (rule("site", "m.example", life_hours=0.01), "life_hours", "first retry after 60 s"),
    ],
)  # fmt: skip
def test_what_contradicts(bad: ShapingRule, field: str, says: str) -> None:
    found = faults(bad)
    if not says:  # an inherited value is nobody's fault
        assert found == []
    else:
        assert [where for where, _ in found] == [field], found
        assert says in found[0][1]


def test_a_problem_names_rule_field_and_fix() -> None:
    (said,) = validate([*SHIPPED, rule("site", "m.example.", connections=1)])
    assert said == (
        "rule 'mine': match suffix 'm.example.' never matches; write it as m.example")  # fmt: skip


@pytest.mark.parametrize(
    "good",
    [
        rule("site", "mx.example.net", messages_per_second=5),
        rule("site", "example.net", "out1", messages_per_hour=360_000),
        rule("site", "(a|b).example.net", connections=3),
        rule("site", "(a)?.example.net", connections=3),
        rule("site", site_name([f"mx{n:02}-long.name.example" for n in range(20)]), connections=1),
        rule("provider", "google", "out1", connections=1, messages_per_minute=30),
        rule("provider", "yahoo-japan", messages_per_hour=100),
        rule("default", "", messages_per_day=1000, burst=1000),
        # Both are meant: the faster for the hurry, the slower for the whole.
        rule("site", "m.example", messages_per_second=10, messages_per_day=20_000),
        rule("site", "m.example", messages_per_minute=100, messages_per_day=10_000),
        rule("site", "m.example", messages_per_second=10, messages_per_hour=60),
        rule("site", "m.example", messages_per_second=10, messages_per_minute=600),
        # The greater burst of the faster rate makes the slower one decide.
        rule("site", "m.example", messages_per_second=10, burst=300, messages_per_minute=650),
        rule("site", "m.example", burst=40, messages_per_minute=60),
        rule("site", "m.example", messages_per_second=0),
        rule("site", "m.example", retry_steps="10m,1h", life_hours=48),
        provider("a.example", "b.example"),
    ],
)  # fmt: skip
def test_what_is_no_fault(good: ShapingRule) -> None:
    assert problems_of([*SHIPPED, good]) == []


def test_a_later_layer_that_is_tighter_is_no_fault_of_the_earlier() -> None:
    site = ShapingRule("site", "site", "m.example", {"messages_per_hour": 60, "burst": 5})
    one = ShapingRule("one", "site", "m.example", {"messages_per_day": 24}, source="out1")
    found = problems_of([*SHIPPED, site, one])
    assert found == []


def test_a_burst_is_blamed_where_it_was_set_and_not_a_tighter_total_above_it() -> None:
    below = ShapingRule("below", "default", values={"burst": 500})
    assert faults(below, rule("site", "m.example", messages_per_hour=100)) == []
    below = ShapingRule("below", "site", "m.example", {"messages_per_hour": 100})
    assert faults(below, rule("site", "m.example", "out1", burst=500)) == [
        ("burst", "contradicts: a burst of 500 at once is more than messages_per_hour 100 admits;"
         " lower the burst or raise the other")]  # fmt: skip


def test_names_say_which_rule_it_was() -> None:
    found = faults(rule("site", "a.example", connections=1), rule("site", "b.example", tls="none"))
    assert ("name", "is used 2 times; limits must say which rule set them") in found


def test_a_whole_default_is_wanted() -> None:
    assert any("tls is missing" in text for text in validate(parse_rules("[default]\nburst = 1")))
