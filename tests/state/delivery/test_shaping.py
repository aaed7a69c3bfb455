"""Rules in force: the shipped ones under the admin's, and a change acts within five seconds."""

from __future__ import annotations

import pytest

from mta.delivery import shaping
from mta.delivery.shaping import automations, limits_of_path, rules
from mta.egress.models import AutomationRule, ShapingRule
from mta.policy.automation_rules import load_automations

pytestmark = pytest.mark.django_db


def five_seconds_later() -> None:
    """What this process has read becomes so much older."""
    shaping._last[0] = shaping._last[0]._replace(at=shaping._last[0].at - 5.0)


def connections() -> int:
    return limits_of_path("mx1.x.test", ["mx1.x.test"]).limits.connections


def test_a_changed_row_acts_within_five_seconds() -> None:
    assert connections() == 10
    row = ShapingRule.objects.create(match_kind="site", match="x.test", connections=3)
    five_seconds_later()
    assert connections() == 3
    ShapingRule.objects.filter(pk=row.pk).update(connections=4)
    five_seconds_later()
    assert connections() == 4
    ShapingRule.objects.filter(pk=row.pk).update(enabled=False)
    five_seconds_later()
    assert connections() == 10


def test_without_a_change_nothing_is_layered_again() -> None:
    first, both = limits_of_path("mx1.x.test", ["mx1.x.test"]), (rules(), automations())
    five_seconds_later()
    assert limits_of_path("mx1.x.test", ["mx1.x.test"]) is first
    assert rules() is both[0]
    assert automations() is both[1]


def test_paths_without_bound_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shaping, "MOST_PATHS", 3)
    for n in range(10):
        limits_of_path(f"mx{n}.test", [f"mx{n}.test"])
    assert len(shaping._last[0].paths) <= 3


def test_the_admins_rules_come_last_and_say_their_name() -> None:
    ShapingRule.objects.create(
        match_kind="provider", match="post", mx_suffixes="post.test, post.example", connections=2
    )
    assert rules()[-1].suffixes == ("post.test", "post.example")
    found = limits_of_path("any", ["mx.post.test", "mx.post.example"])
    assert (found.provider, found.across["connections"]) == ("post", (2, "admin: provider post"))


def automation(name: str, **values: object) -> AutomationRule:
    given = {"pattern": "slow down", "action": "suspend", "duration_seconds": 60, **values}
    return AutomationRule.objects.create(name=name, **given)


def test_automations_of_the_admin_replace_and_precede() -> None:
    assert list(automations()) == list(load_automations())
    automation("mine", action="slow", rate_per_minute=3, connections=1, threshold=2)
    automation("qq-frequency", provider="qq", pattern="too frequent", duration_seconds=5)
    automation("any-busy", enabled=False)
    five_seconds_later()
    found = {rule.name: rule for rule in automations()}
    assert [rule.name for rule in automations()][:2] == ["mine", "qq-frequency"]
    assert len(automations()) == len(found) == len(load_automations())
    assert "any-busy" not in found
    assert found["qq-frequency"].duration_seconds == 5
    mine = found["mine"]
    assert (mine.threshold, mine.rate_per_minute, mine.connections) == (2, 3.0, 1)
    assert mine.messages_per_connection == 0


def test_a_faulty_row_stops_no_mail() -> None:
    automation("broken", pattern="slow (down")
    automation("stray", provider="goggle")
    automation("empty", action="slow")
    assert list(automations()) == list(load_automations())
