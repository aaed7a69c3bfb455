"""check_rules: what is shipped is sound; what the admin adds is proved as well."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from dashboard import explain_rules
from mta.egress.models import AutomationRule, RoutingRule, ShapingRule
from mta.policy import automation_rules, shaping, warmup
from mta.policy.automation_rules import AutomationError
from mta.policy.rules import BounceRule, RuleError, load_rules
from mta.policy.shaping import ShapingError
from mta.policy.warmup import WarmupError
from tests.state.commands.run import answer, failing, text


def test_the_shipped_rules_are_sound(db: None) -> None:
    found = answer("check_rules")
    assert found["problems"] == []
    assert found["counts"]["bounces"] > 50
    assert "problems: 0" in text("check_rules")


def test_a_rule_of_the_admin_for_nobody(db: None) -> None:
    ShapingRule.objects.create(match_kind="provider", match="goggle", connections=1)
    ShapingRule.objects.create(match_kind="site", match="x.test")
    ShapingRule.objects.create(match_kind="site", match="off.test", enabled=False)
    code, said = failing("check_rules", "--json")
    found: dict[str, Any] = json.loads(said)
    assert code == 1
    assert [problem.split(":")[0] for problem in found["problems"]] == ["shaping", "shaping"]
    assert "goggle" in found["problems"][0]
    assert "sets nothing" in found["problems"][1]
    assert failing("check_rules")[1].endswith("problems: 2\n")


def test_a_contradiction_between_rules_of_the_admin(db: None) -> None:
    ShapingRule.objects.create(match_kind="provider", match="google", messages_per_minute=60)
    ShapingRule.objects.create(match_kind="site", match="google.com", messages_per_minute=90)
    _, said = failing("check_rules", "--json")
    (problem,) = json.loads(said)["problems"]
    assert problem.startswith("shaping: rule 'admin: site google.com': messages_per_minute 90 can")


def test_automations_of_the_admin(db: None) -> None:
    make = partial(AutomationRule.objects.create, action="suspend", duration_seconds=60)
    make(name="gone", pattern="slow down", provider="goggle")
    make(name="never", pattern="^421 slow down")
    make(name="off", pattern="(", enabled=False)
    make(name="qq-frequency", pattern="too frequent", provider="qq")
    _, said = failing("check_rules", "--json")
    found = json.loads(said)
    assert found["counts"]["automations of the admin"] == 3
    first, second = found["problems"]
    assert first.startswith("automations of the admin: rule 'gone': provider 'goggle' has no MX")
    assert second.startswith("automations of the admin: rule 'never': pattern '^421 slow down'")


def test_a_routing_rule_that_does_not_compile(db: None) -> None:
    RoutingRule.objects.create(name="odd", condition="domain ==", action="hold")
    RoutingRule.objects.create(name="fine", condition='domain == "x.test"', action="hold")
    _, said = failing("check_rules", "--json")
    (problem,) = json.loads(said)["problems"]
    assert problem.startswith("routing: routing rule 'odd': ")


def test_a_bounce_rule_for_a_provider_without_hosts(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    stray = BounceRule("stray", "policy", providers=("goggle",), samples=("550 stray",),
                       text=("stray",))  # fmt: skip
    monkeypatch.setattr(explain_rules, "load_bounce_rules", lambda: (stray, *load_rules()))
    _, said = failing("check_rules", "--json")
    (problem,) = json.loads(said)["problems"]
    assert "provider 'goggle' has no MX suffixes" in problem


def test_files_that_cannot_be_read_are_problems(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(kind: type[Exception]) -> Callable[[], None]:
        def load() -> None:
            raise kind("not TOML")

        return load

    monkeypatch.setattr(explain_rules, "load_bounce_rules", broken(RuleError))
    monkeypatch.setattr(warmup, "load_templates", broken(WarmupError))
    monkeypatch.setattr(shaping, "load_rules", broken(ShapingError))
    monkeypatch.setattr(automation_rules, "load_automations", broken(AutomationError))
    _, said = failing("check_rules", "--json")
    problems = json.loads(said)["problems"]
    assert {
        "automations: not TOML",
        "bounces: not TOML",
        "warmup: not TOML",
        "shaping: not TOML",
    } <= set(problems)
