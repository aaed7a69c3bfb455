"""Automations: the page says what the code and the shipped rules say."""

from __future__ import annotations

from dataclasses import MISSING, fields

from mta.policy.automation_rules import ACTIONS, AutomationRule, load_automations
from tests.unit.docs.pages import CODE, REFERENCE, by_code

PAGE = by_code(REFERENCE / "automations.md")
SHIPPED = load_automations()
FIELDS = {item.name: item.default for item in fields(AutomationRule)}


def test_the_page_names_all_and_no_others() -> None:
    # An action of the name of a field has its row in the second table.
    assert set(PAGE) == {*FIELDS, *ACTIONS, *(rule.name for rule in SHIPPED)}


def test_every_field_with_its_default() -> None:
    for name, default in FIELDS.items():
        if name in ACTIONS:
            continue
        told = PAGE[name][1]
        if default is MISSING or name == "samples":
            assert told.startswith("needed"), name
        else:
            assert told == (f"`{default}`" if default else told), name
            assert default or told in {"any", "none"}, name


def test_every_shipped_automation() -> None:
    for rule in SHIPPED:
        _, provider, pattern, after, does, lasts = PAGE[rule.name]
        assert provider == (rule.provider or "any")
        assert CODE.findall(pattern) == [rule.pattern]
        assert int(after) == rule.threshold
        assert rule.window_seconds == 3600
        assert does == words(rule)
        number, unit = lasts.split()
        assert int(number) * {"min": 60, "h": 3600}[unit] == rule.duration_seconds


def words(rule: AutomationRule) -> str:
    if rule.action == "slow":
        also = f", {rule.connections} connection" if rule.connections else ""
        return f"{rule.rate_per_minute:g} a minute{also}"
    if rule.action == "messages_per_connection":
        return f"{rule.messages_per_connection} a connection"
    return rule.action.replace("_", " ")
