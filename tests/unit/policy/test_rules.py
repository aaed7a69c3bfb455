"""The shipped rules are proven, and each kind of broken rule is caught."""

import pytest

from mta.policy.rules import CLASS_DEFAULTS, RuleError, load_rules, parse_rules
from mta.policy.rules_check import validate
from mta.policy.verdict import BOUNCE_CLASSES, Verdict


def rule(body: str, name: str = "a-rule", samples: str = '["550 full moon"]') -> str:
    return f'[[rule]]\nname = "{name}"\nclass = "policy"\nsamples = {samples}\n{body}\n'


def test_the_shipped_rules_have_no_problem() -> None:
    rules = load_rules()
    assert validate(rules) == []
    assert sum(len(rule.samples) for rule in rules) >= 120


def test_every_class_has_defaults_that_make_a_verdict() -> None:
    assert set(CLASS_DEFAULTS) == set(BOUNCE_CLASSES)


@pytest.mark.parametrize(
    ("toml", "problem"),
    [
        (rule("text = ['full (moon']"), "does not compile"),
        (rule("text = ['full\\\\s+moon']"), "doubled backslash"),
        (rule("text = ['^550 full moon']"), "expects the code in the text"),
        (rule("text = ['^5\\d\\d full']"), "expects the code in the text"),
        (rule("text = ['^[45]\\.1\\.1 full']"), "expects the code in the text"),
        (rule("text = ['Full Moon']"), "upper-case"),
        (rule("text = ['full moon', 'new moon']"), "matches none of the rule's samples"),
        (rule("text = ['x*']"), "matches the empty text"),
        (rule("text = ['moon']") * 2, "used 2 times"),
        (rule("text = ['moon']", samples="[]"), "no samples"),
        (rule("text = ['moon']", samples='["moon"]'), "is no reply"),
        (rule("text = ['moon']") + rule("text = ['full']", name="late"), "decided by 'a-rule'"),
    ],
)
def test_validate_finds(toml: str, problem: str) -> None:
    assert any(problem in found for found in validate(parse_rules(toml))), validate(
        parse_rules(toml)
    )


@pytest.mark.parametrize(
    ("toml", "problem"),
    [
        ("rule = 1", "non-empty list"),
        ("[[rule", "not TOML"),
        ('[[rule]]\nname = "A b"\nclass = "policy"', "lower-case"),
        ('[[rule]]\nname = "a"\nclass = "hard"', "class 'hard' is unknown"),
        (rule("colour = 'red'"), "unknown field 'colour'"),
        (rule("codes = ['55x']"), "codes has '55x'"),
        (rule("enhanced = ['5.1']"), "enhanced has '5.1'"),
        (rule("stages = ['moon']"), "stages 'moon'"),
        (rule("scope = 'world'"), "scope 'world'"),
        (rule("action = 'delete'"), "action 'delete'"),
        (rule("permanent = true"), "permanent can only be false"),
        (rule("text = 'moon'"), "list of strings"),
        (rule("first_attempts = -1"), "first_attempts"),
    ],
)
def test_nonsense_is_refused_by_name(toml: str, problem: str) -> None:
    with pytest.raises(RuleError, match=problem):
        parse_rules(toml)


@pytest.mark.parametrize(
    "fields",
    [
        ("bounced", "policy", False, "message", "", "r"),
        ("delivered", "policy", False, "message", "", "r"),
        ("deferred", "", False, "message", "", "r"),
        ("deferred", "hard", False, "message", "", "r"),
        ("lost", "policy", False, "message", "", "r"),
        ("bounced", "reputation", True, "recipient", "suppress", "r"),
        ("deferred", "bad_mailbox", False, "recipient", "suppress", "r"),
    ],
)
def test_a_verdict_cannot_contradict_itself(fields: tuple[str, str, bool, str, str, str]) -> None:
    with pytest.raises(ValueError, match=r"Verdict|class"):
        Verdict(*fields)
