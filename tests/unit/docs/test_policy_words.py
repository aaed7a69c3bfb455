"""States, bounce classes and shaping values: the pages say what the code says."""

from __future__ import annotations

from mta.policy import lifecycle, shaping
from mta.policy.rules import CLASS_DEFAULTS
from mta.policy.shaping import EgressLimits
from mta.policy.verdict import BOUNCE_CLASSES
from tests.unit.docs.pages import CODE, REFERENCE, ROOT, by_code

STATES = by_code(REFERENCE / "states.md")
CLASSES = by_code(REFERENCE / "bounce-classes.md")
SHAPING = by_code(REFERENCE / "shaping.md")


def test_every_state_with_its_transitions() -> None:
    assert set(STATES) == {state.value for state in lifecycle.State}
    for state, after in lifecycle.TRANSITIONS.items():
        told = STATES[state.value][2]
        words = set() if told == "final" else set(told.split(", "))
        assert words == {one.value for one in after}, state


def test_every_bounce_class_with_meaning_scope_and_action() -> None:
    assert set(CLASSES) == set(BOUNCE_CLASSES)
    for name, (_, meaning, scope, action) in CLASSES.items():
        assert (meaning, scope, action) == (BOUNCE_CLASSES[name], *CLASS_DEFAULTS[name])


def test_every_shaping_value_with_its_default() -> None:
    limits = EgressLimits()
    words = {"burst": "one second's messages", "retry_steps": "the stream's"}
    words |= {"life_hours": "the stream's", "tls": f"`{limits.tls}`"}
    words |= {f"messages_per_{period}": "none" for period in ("minute", "hour", "day")}
    for name in shaping.VALUES:
        told = words[name] if name in words else f"`{getattr(limits, name):g}`"
        assert SHAPING[name][1] == told, name


def test_every_shipped_provider_with_its_limits() -> None:
    for rule in shaping.load_rules():
        if rule.match_kind != "provider":
            continue
        _, suffixes, *told = SHAPING[rule.name]
        assert CODE.findall(suffixes) == list(rule.suffixes)
        values = ("connections", "messages_per_connection", "messages_per_second", "tls")
        assert told == [str(rule.values.get(value, "-")) for value in values], rule.name
    providers = {rule.name for rule in shaping.load_rules() if rule.match_kind == "provider"}
    assert set(SHAPING) == providers | set(shaping.VALUES)


def test_the_readme_counts_the_providers() -> None:
    number = sum(rule.match_kind == "provider" for rule in shaping.load_rules())
    assert f"shipped for {number} providers" in (ROOT / "README.md").read_text()
