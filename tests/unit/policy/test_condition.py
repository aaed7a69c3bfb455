"""The language of routing rules: what it takes, what it refuses and why."""

from __future__ import annotations

import pytest

from mta.limits import tally
from mta.policy.condition import DEEPEST, MOST_CHARACTERS, compile_condition
from mta.policy.routing import (
    COUNTED,
    DIMENSIONS,
    NAMES,
    OF_HOUR,
    SHARES,
    RuleFault,
    RuleTrouble,
    Value,
    figure,
    needs_message,
)

FACTS: dict[str, Value] = {
    "domain": "mail.example.org", "site": "mx.example.org", "provider": "", "tenant": "acme",
    "stream": "news", "stream_kind": "bulk", "campaign": "may", "tags": ("news", "weekly"),
    "size": 20_480.0, "attempts": 0.0, "domain_bounce_rate": 0.07, "domain_attempts": 140.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("true", True),
        ("false", False),
        ("domain_bounce_rate > 0.05", True),
        ("domain_bounce_rate > 0.07", False),
        ("domain_bounce_rate > 0.05 and domain_attempts >= 200", False),
        ("domain_bounce_rate > 0.05 or domain_attempts >= 200", True),
        ('"news" in tags', True),
        ('not ("news" in tags)', False),
        ('tenant in ["acme", "other"]', True),
        ('provider == ""', True),
        ('provider != "google"', True),
        ('domain.ends_with(".example.org")', True),
        ('domain.starts_with("www.")', False),
        ('"example" in domain', True),
        ("size > 10 * 1024", True),
        ("size / 1024 - 20 == 0", True),
        ("-size < 0", True),
        ('campaign == "may"\n  and stream_kind == "bulk"', True),
        ("domain == 'a \"quoted\" text with = and %'", False),
    ],
)
def test_conditions(condition: str, holds: bool) -> None:
    assert compile_condition(condition).holds(FACTS) is holds


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("", "write `true`"),
        ("domain_bounce_rat > 0.05", "Did you mean domain_bounce_rate?"),
        ("address == domain", "no name 'address'"),
        ("domain > 5", "mixes them"),
        ('size == "x"', "a number with a text"),
        ("5 in tags", "a number among texts"),
        ('size in [1, "x"]', "among texts"),
        ("size", "compare it"),
        ("size and tenant", "one side is a value"),
        ("not size", "one side is a value"),
        ("domain_bounce_rate > 5%", "write 0.05 for 5 %"),
        ('tenant = "acme"', "write =="),
        ('domain =~ ".*"', "no patterns"),
        ("9**9**9 > size", "+ - * /"),
        ("1 << 99999999 > size", "+ - * /"),
        ("size > 1 && true", "`and`"),
        ("$now > 3", "'$' is not understood"),
        ("[tag for tag in tags] == tags", "'for' is not understood"),
        ("size > 1 ? true : false", "'?' is not understood"),
        ("domain.length > 3", "GetAttribute"),
        ("domain.__class__ == domain", "only functions"),
        ("tags.__class__.__mro__ == tags", "only functions"),
        ('domain.split(".") == tags', "only functions"),
        ('domain[0] == "x"', "GetItem"),
        ("tenant(1)", "mixes them"),
        ("size >", "ends too early"),
        ("size > 5 and or true", "from 'or' on (character 14)"),
        ('"abc', "character 1"),
        ("nan > 1", "cannot be reckoned"),
        ("1e999999999 * 1e999999999 > size", "cannot be read"),
        ("not " * 45 + "(size > 1)", "too deep"),
        ("size > 1 or " * 100 + "true", f"{MOST_CHARACTERS} may be"),
    ],
)
def test_what_is_refused_and_why(condition: str, said: str) -> None:
    with pytest.raises(RuleFault) as fault:
        compile_condition(condition)
    assert said in str(fault.value)


def test_names_that_a_condition_uses() -> None:
    found = compile_condition('domain_bounce_rate > 0.05 and not (tenant == "domain")')
    assert found.names == {"domain_bounce_rate", "tenant"}


def test_a_chain_at_the_limit_of_depth_can_be_reckoned_out() -> None:
    condition = compile_condition(" or ".join(["size < 1"] * (DEEPEST - 2)))
    assert condition.holds(FACTS) is False


@pytest.mark.parametrize("condition", ["1 / (size - size) > 1", "domain_complaints > 1"])
def test_trouble_at_run_time(condition: str) -> None:
    with pytest.raises(RuleTrouble):
        compile_condition(condition).holds(FACTS)


def test_every_name_compiles_with_its_type() -> None:
    literal = {"text": '== "x"', "number": "> 1", "list of texts": '== ["x"]'}
    for name, kind in NAMES.items():
        assert compile_condition(f"{name} {literal[kind]}").names == {name}


def test_names_of_the_hour_are_what_is_tallied() -> None:
    assert set(DIMENSIONS) < set(tally.DIMENSIONS)
    assert set(COUNTED) == {"attempts", *tally.COUNTED}
    assert len(OF_HOUR) == len(DIMENSIONS) * (len(COUNTED) + len(SHARES))


def test_names_that_need_a_look_at_the_messages() -> None:
    assert {name for name in NAMES if needs_message(name) and name not in OF_HOUR} == {
        "campaign", "tags", "size", "attempts",
    }  # fmt: skip
    assert needs_message("campaign_bounce_rate")
    assert not needs_message("domain_bounce_rate")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("domain_attempts", 40.0), ("domain_bounce_rate", 0.05), ("domain_deferral_rate", 0.1),
        ("domain_block_rate", 0.025), ("domain_complaint_rate", 0.5), ("domain_blocked", 1.0),
    ],
)  # fmt: skip
def test_figures(name: str, value: float) -> None:
    counts = {
        "attempts": 40, "delivered": 34, "bounced": 2, "deferred": 4, "blocked": 1,
        "complaints": 17,
    }  # fmt: skip
    assert figure(name, counts) == value
    assert figure(name, {}) == 0.0
