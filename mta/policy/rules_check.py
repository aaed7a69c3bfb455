"""Proof of the bounce rules: every rule decides its own samples, and every regex earns its place.

A rule nobody can reach is worse than none, because an operator believes in it. The faults sought
here are those seen in the shipped rules of other mail servers.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from mta.mail.reply import Reply, ReplyError, parse_reply
from mta.policy.classify import Classifier, mask
from mta.policy.pattern_check import faults_of_pattern
from mta.policy.rules import BounceRule


def validate(rules: Sequence[BounceRule]) -> list[str]:
    """Return one sentence per problem, naming the rule and the fix; empty when all is well."""
    problems = [
        f"rule {name!r}: the name is used {count} times; names must be unique"
        for name, count in Counter(rule.name for rule in rules).items()
        if count > 1
    ]
    for rule in rules:
        for pattern in rule.text:
            where = f"rule {rule.name!r}: regex {pattern!r}"
            problems.extend(f"{where} {fault}" for fault in faults_of_pattern(pattern))
        if not rule.samples:
            problems.append(f"rule {rule.name!r}: no samples; add a real reply that it decides")
    if _all_compile(rules):
        classifier = Classifier(rules)
        for rule in rules:
            problems.extend(_faults_of_samples(rule, classifier))
    return problems


def _all_compile(rules: Sequence[BounceRule]) -> bool:
    try:
        for rule in rules:
            for pattern in rule.text:
                re.compile(pattern)
    except re.error:
        return False
    return True


def sample_reply(rule: BounceRule, sample: str) -> Reply:
    """Read a sample of `rule`: a reply, or the bare error text for rules about no reply."""
    return (
        Reply(0, "", sample)
        if "0" in rule.codes and not sample[:3].isdigit()
        else (parse_reply(sample))
    )


def _faults_of_samples(rule: BounceRule, classifier: Classifier) -> Iterator[str]:
    """Run the samples through all rules; find shadowed rules and regexes nothing speaks for."""
    texts: list[str] = []
    for sample in rule.samples:
        try:
            reply = sample_reply(rule, sample)
        except ReplyError as error:
            yield f"rule {rule.name!r}: sample {sample!r} is no reply: {error}"
            continue
        texts.append(mask(reply.text))
        stage = rule.stages[0] if rule.stages else "dot"
        provider = rule.providers[0] if rule.providers else ""
        decided = classifier.classify(reply, stage=stage, provider=provider)
        if decided.rule != rule.name:
            yield (
                f"rule {rule.name!r}: sample {sample!r} is decided by {decided.rule!r}"
                f" ({decided.bounce_class}); narrow that one or move this one up"
            )
    for pattern in rule.text:
        if not any(re.search(pattern, text) for text in texts):
            yield (
                f"rule {rule.name!r}: regex {pattern!r} matches none of the rule's samples;"
                " add a reply that it matches, or drop it"
            )
