"""Proof of the automations: each can match, matches its samples, and says what is to be done."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from mta.mail.reply import ReplyError, parse_reply
from mta.policy.automation_rules import ACTIONS, AutomationRule, asked
from mta.policy.classify import mask
from mta.policy.pattern_check import faults_of_pattern
from mta.policy.problem import Problem

#: What is done by itself ends within a week; longer is a person's decision: a suspension.
LONGEST_SECONDS = 7 * 86_400
#: Besides what its action needs, a rule may give these.
_BESIDE = {
    "slow": {"connections", "messages_per_connection"},
    "one_connection": {"messages_per_connection"},
    "connections": {"messages_per_connection"},
}
_VALUES = ("rate_per_minute", "connections", "messages_per_connection")


def problems_of(
    rules: Sequence[AutomationRule], providers: Collection[str], *, shipped: bool = True
) -> list[Problem]:
    """Return what is wrong; `providers` are the known ones, `shipped` rules need samples."""
    found = [
        Problem(name, "name", f"is used {count} times; names must be unique")
        for name, count in Counter(rule.name for rule in rules).items()
        if count > 1
    ]
    seen: dict[tuple[str, str], str] = {}
    for rule in rules:
        found += _faults(rule, providers)
        twin = seen.setdefault((rule.provider, rule.pattern), rule.name)
        if twin != rule.name:
            found.append(
                Problem(rule.name, "pattern", f"is that of {twin!r}, which is asked first")
            )
        if shipped and not rule.samples:
            found.append(Problem(rule.name, "samples", "are missing; add a real reply"))
    if not any(problem.field == "pattern" for problem in found):
        for rule in rules:
            found += _faults_of_samples(rule, asked(rules, rule.provider))
    return found


def validate(rules: Sequence[AutomationRule], providers: Collection[str]) -> list[str]:
    """Return one sentence per problem of shipped rules; empty when all is well."""
    return [str(problem) for problem in problems_of(rules, providers)]


def _faults(rule: AutomationRule, providers: Collection[str]) -> Iterator[Problem]:
    """Find what is wrong with a rule by itself."""
    if rule.provider and rule.provider not in providers:
        known = ", ".join(sorted(providers))
        text = f"{rule.provider!r} has no MX suffixes in the shaping rules; known: {known}"
        yield Problem(rule.name, "provider", text)
    for fault in faults_of_pattern(rule.pattern):
        yield Problem(rule.name, "pattern", f"{rule.pattern!r} {fault}")
    if rule.action not in ACTIONS:
        text = f"{rule.action!r} is unknown; use one of {', '.join(ACTIONS)}"
        yield Problem(rule.name, "action", text)
    else:
        yield from _faults_of_values(rule)
    for field in ("threshold", "window_seconds", "duration_seconds"):
        if getattr(rule, field) < 1:
            yield Problem(rule.name, field, "must be at least 1")
    if rule.duration_seconds > LONGEST_SECONDS:
        text = f"is above {LONGEST_SECONDS}, a week; for longer make a suspension"
        yield Problem(rule.name, "duration_seconds", text)


def _faults_of_values(rule: AutomationRule) -> Iterator[Problem]:
    needed = ACTIONS[rule.action]
    for field in _VALUES:
        value = getattr(rule, field)
        if value < 0:
            yield Problem(rule.name, field, f"{value!r} must be above 0")
        elif field == needed and not value:
            yield Problem(rule.name, field, f"is missing; {rule.action} needs it")
        elif value and field != needed and field not in _BESIDE.get(rule.action, ()):
            text = f"is never used by {rule.action}; leave it out or take another action"
            yield Problem(rule.name, field, text)


def _faults_of_samples(rule: AutomationRule, order: Sequence[AutomationRule]) -> Iterator[Problem]:
    for sample in rule.samples:
        try:
            reply = parse_reply(sample)
        except ReplyError as error:
            yield Problem(rule.name, "samples", f"{sample!r} is no reply: {error}")
            continue
        text = mask(reply.text)
        decides = next((other for other in order if re.search(other.pattern, text)), None)
        if reply.code < 400:
            yield Problem(rule.name, "samples", f"{sample!r} is no refusal; automations see those")
        elif decides is None:
            yield Problem(rule.name, "samples", f"{sample!r} is not matched; its text is {text!r}")
        elif decides.name != rule.name:
            text = f"{sample!r} is decided by {decides.name!r}; narrow that one or move this one up"
            yield Problem(rule.name, "samples", text)
