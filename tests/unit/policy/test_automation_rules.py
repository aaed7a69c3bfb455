"""The shipped automations are proven, and each kind of broken automation is caught."""

import re
from dataclasses import replace

import pytest

from mta.policy.automation_check import problems_of, validate
from mta.policy.automation_rules import (
    ACTIONS,
    AutomationError,
    AutomationRule,
    asked,
    load_automations,
    parse_automations,
)
from mta.policy.shaping import load_rules, providers

SHIPPED = load_automations()
KNOWN = providers(load_rules())
GOOD = AutomationRule("good", "slow down", "suspend", 60, samples=("421 4.7.0 Slow down",))


def test_the_shipped_automations_have_no_problem() -> None:
    assert validate(SHIPPED, KNOWN) == []


@pytest.mark.parametrize(
    ("provider", "threshold", "action", "value", "minutes", "text"),
    [
        ("yahoo", 2, "suspend", 0, 120, "[tss04] messages"),
        ("yahoo", 2, "suspend", 0, 120, "[ipts04] messages"),
        ("yahoo", 3, "slow", 1, 30, "[ts02]"),
        ("yahoo", 3, "slow", 10, 30, "[ts03]"),
        ("yahoo", 5, "suspend", 0, 120, "[bl21] connections"),
        ("google", 5, "suspend", 0, 60, "our system has detected that this message"),
        ("google", 2, "slow", 10, 30, "an unusual rate"),
        ("outlook", 5, "suspend", 0, 120, "block list"),
        ("outlook", 3, "slow", 1, 15, "server busy"),
        ("outlook", 3, "suspend", 0, 30, "temporarily rate limited"),
        ("outlook", 2, "one_connection", 0, 60, "the maximum number of connections"),
        (
            "outlook",
            2,
            "messages_per_connection",
            2,
            60,
            "the maximum number of messages per connection",
        ),
        ("apple", 1, "suspend", 0, 15, "[hcm1]"),
        ("apple", 1, "suspend", 0, 15, "[bs02]"),
        ("gmx", 3, "one_connection", 0, 30, "too many connections"),
        ("orange", 2, "one_connection", 0, 60, "trop de connexions"),
        ("qq", 5, "suspend", 0, 60, "frequency limited"),
        ("netease", 1, "suspend", 0, 15, "dt:spm"),
        ("", 1, "slow", 1, 90, "temporarily rate limited due to ip reputation"),
        ("comcast", 1, "slow", 1, 90, "server busy"),
    ],
)
def test_the_table(
    provider: str, threshold: int, action: str, value: float, minutes: int, text: str
) -> None:
    found = [rule for rule in asked(SHIPPED, provider) if re.search(rule.pattern, text)]
    assert found
    first = found[0]
    needed = ACTIONS[first.action]
    assert (first.threshold, first.window_seconds, first.action) == (threshold, 3600, action)
    assert (getattr(first, needed) if needed else 0) == value
    assert first.duration_seconds == minutes * 60
    assert first.most_connections == (1 if not first.provider or action == "one_connection" else 0)


def test_a_providers_own_automations_are_asked_first() -> None:
    order = asked(SHIPPED, "outlook")
    assert [rule.provider for rule in order] == ["outlook"] * 5 + ["", ""]
    assert {rule.provider for rule in asked(SHIPPED, "")} == {""}


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"provider": "goggle"}, "provider", "has no MX suffixes in the shaping rules; known: "),
        ({"pattern": "slow (down"}, "pattern", "does not compile"),
        ({"pattern": "x*"}, "pattern", "matches the empty text"),
        ({"pattern": r"slow\\s+down"}, "pattern", "doubled backslash"),
        ({"pattern": r"^421 slow down"}, "pattern", "expects the code in the text"),
        ({"pattern": r"^4\d\d slow"}, "pattern", "expects the code in the text"),
        ({"pattern": r"553 5\.7\.1 \[bl"}, "pattern", "expects the code in the text"),
        ({"pattern": "Slow down"}, "pattern", "upper-case"),
        ({"pattern": "slow down 12345"}, "pattern", 'are "#" in the text'),
        ({"pattern": r"from 192\.0\.2\.7"}, "pattern", 'are "#" in the text'),
        ({"pattern": "(slow +)+down"}, "pattern", "repeats a repeat"),
        ({"pattern": "(?:a|b+)+ down"}, "pattern", "repeats a repeat"),
        ({"action": "explode"}, "action", "is unknown; use one of slow"),
        ({"action": "slow"}, "rate_per_minute", "is missing; slow needs it"),
        ({"action": "connections"}, "connections", "is missing; connections needs it"),
        ({"connections": 2}, "connections", "is never used by suspend"),
        ({"action": "one_connection", "connections": 3}, "connections", "is never used by one"),
        ({"rate_per_minute": -1.0}, "rate_per_minute", "must be above 0"),
        ({"threshold": 0}, "threshold", "at least 1"),
        ({"duration_seconds": 0}, "duration_seconds", "at least 1"),
        ({"duration_seconds": 700_000}, "duration_seconds", "make a suspension"),
        ({"samples": ()}, "samples", "are missing"),
        ({"samples": ("slow down",)}, "samples", "is no reply"),
        ({"samples": ("250 slow down",)}, "samples", "is no refusal"),
        ({"samples": ("421 hurry up",)}, "samples", "its text is 'hurry up'"),
        ({"samples": ("421 Server busy: slow down",)}, "samples", "is decided by 'any-busy'"),
        ({"name": "any-busy"}, "name", "is used 2 times"),
        ({"pattern": "server busy"}, "pattern", "is that of 'any-busy', which is asked first"),
    ],
)
def test_validate_finds(change: dict[str, object], field: str, says: str) -> None:
    bad = replace(GOOD, **change)  # type: ignore[arg-type]  # the table above knows the types
    found = [one for one in problems_of((*SHIPPED, bad), KNOWN) if one.rule == bad.name]
    assert any(one.field == field and says in one.text for one in found), found
    assert f"rule {bad.name!r}: {field} " in str(found[0])


def test_a_rule_of_the_admin_needs_no_samples() -> None:
    assert problems_of([replace(GOOD, samples=())], KNOWN, shipped=False) == []


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ('name = "A b"', "lower-case words"),
        ('name = "a"', "pattern is missing"),
        ('name = "a"\npattern = "x"\naction = "suspend"\nduration = 1', "duration_seconds is mis"),
        ("colour = 1", "unknown field 'colour'"),
        ("threshold = 1.5", "threshold 1.5 must be a whole number"),
        ("threshold = true", "threshold True must be a whole number"),
        ("rate_per_minute = inf", "rate_per_minute inf must be a number"),
        ("provider = 1", "provider 1 must be a text"),
        ('samples = "421 no"', "must be a list of replies"),
    ],
)
def test_what_cannot_be_read_is_named(row: str, says: str) -> None:
    good = 'name = "a"\npattern = "x"\naction = "suspend"\nduration_seconds = 1\n'
    rows = row if "name" in row else good + row
    with pytest.raises(AutomationError, match=says):
        parse_automations(f"[[automation]]\n{rows}")


@pytest.mark.parametrize("toml", ["", "[automation", "automation = 1", "[[rule]]", "automation=[]"])
def test_what_is_no_list_of_automations_is_refused(toml: str) -> None:
    with pytest.raises(AutomationError):
        parse_automations(toml)
