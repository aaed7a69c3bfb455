"""Proof of the shaping rules: each can match, each value can be used, none contradicts another.

Rule 1: a rule that nobody can meet, or a value that never decides, is worse than none: an operator
        believes in it. The faults sought here were seen in the shipped rules of other mail servers.
Rule 2: a value is blamed on the rule that sets it, and only for what lies below it: a later layer
        that is tighter is an exception somebody wanted.
Rule 3: what no host shows cannot be known here: whether a site exists, whether a limit is wise.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from mta.policy.problem import Problem
from mta.policy.shaping import KINDS, ShapingRule, fault_of_value, in_layers, providers
from mta.policy.shaping_contradictions import Fault, contradictions, hosts_of
from mta.policy.site import LIMIT, has_suffix, site_name

#: Without a default of their own these would come from nowhere an operator can read.
NEEDED = ("connections", "messages_per_connection", "messages_per_second", "tls")

_PROVIDER = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_LABEL = r"(?!-)[a-z0-9_-]{1,63}(?<!-)"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")


def validate(rules: Sequence[ShapingRule]) -> list[str]:
    """Return one sentence per problem, naming rule, field and fix; empty when all is well."""
    return [str(problem) for problem in problems_of(rules)]


def problems_of(rules: Sequence[ShapingRule]) -> list[Problem]:
    """Return what is wrong, in the order of the rules; all that are in force must be given."""
    known = providers(rules)
    found: list[Problem] = []
    order = {rule.name: place for place, rule in enumerate(in_layers(rules))}
    for rule in rules:
        values = [Problem(rule.name, *fault) for fault in _faults_of_values(rule)]
        matching = [Problem(rule.name, *fault) for fault in _faults_of_match(rule, known)]
        found += values + matching
        if not values and not matching:
            found += [Problem(rule.name, *fault) for fault in contradictions(rule, rules, order)]
    found += _shared_suffixes(rules)
    found += [
        Problem(name, "name", f"is used {count} times; limits must say which rule set them")
        for name, count in Counter(rule.name for rule in rules).items()
        if count > 1
    ]
    given = {name for rule in rules if rule.match_kind == "default" for name in rule.values}
    found += [
        Problem("default", name, "is missing; every limit needs a default")
        for name in NEEDED
        if name not in given
    ]
    return found


def _faults_of_values(rule: ShapingRule) -> Iterator[Fault]:
    for name, value in rule.values.items():
        if fault := fault_of_value(name, value):
            yield name, fault


def _faults_of_match(rule: ShapingRule, known: Mapping[str, tuple[str, ...]]) -> Iterator[Fault]:
    kind, match = rule.match_kind, rule.match
    if kind not in KINDS:
        yield "match_kind", f"{kind!r} is none of {', '.join(KINDS)}"
    elif (match == "") != (kind == "default"):
        yield "match", f"{match!r} and a {kind} rule do not fit; name what it is for"
    elif kind == "provider" and match not in known:
        names = ", ".join(sorted(known))
        yield "match", f"{match!r} has no MX suffixes in any rule; known providers: {names}"
    elif kind == "site":
        yield from (("match", fault) for fault in _faults_of_site(match, known))
    if kind == "default" and rule.source:
        yield "source", "is no use in a default; name a provider or a site, or limit the source"
    if not rule.values and not rule.suffixes and kind != "default":
        yield "values", "are missing: it sets nothing; give at least one limit"
    if rule.suffixes and kind != "provider":
        yield "mx", f"belongs to rules for a provider, not to a {kind} rule"
    if rule.suffixes and rule.source:
        yield "mx", "holds for every source; give the suffixes in the provider's rule for all"
    if rule.suffixes and kind == "provider" and not _PROVIDER.fullmatch(match):
        yield "match", f"{match!r} is no provider's name; use lower-case words joined by '-'"
    for suffix in rule.suffixes:
        if fault := _fault_of_suffix(suffix):
            yield "mx", fault


def _fault_of_suffix(suffix: str) -> str:
    right = suffix.strip().lower().strip("*.")
    if suffix != right and _HOST.fullmatch(right):
        return f"suffix {suffix!r} never matches; write it as {right}"
    if not _HOST.fullmatch(suffix) or "." not in suffix or suffix.rpartition(".")[2].isdigit():
        return f"suffix {suffix!r} is no host suffix; write it as example.com"
    return ""


def _faults_of_site(match: str, known: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    if "(" not in match:
        if match in known:
            yield f"{match!r} is a provider, which no host is called; make it a provider rule"
        elif fault := _fault_of_suffix(match):
            yield fault
        return
    if "~" in match:  # a long name, cut and hashed: nobody can say which hosts it stands for
        if len(match) != LIMIT:
            yield f"{match[:40]!r}... is no whole site name; copy it from explain_path"
        return
    hosts = hosts_of(match)
    if not hosts or not all(_HOST.fullmatch(host) for host in hosts):
        yield f"{match!r} is no site name; copy it from explain_path"
    elif (right := site_name(hosts)) != match:
        yield f"{match!r} never matches; write it as {right}"


def _shared_suffixes(rules: Sequence[ShapingRule]) -> Iterator[Problem]:
    """Suffixes that two rules claim, and those that another one of the same provider covers."""
    owners: dict[str, ShapingRule] = {}
    for rule in rules:
        for suffix in rule.suffixes:
            owner = owners.setdefault(suffix, rule)
            if owner is not rule or rule.suffixes.count(suffix) > 1:
                text = f"suffix {suffix} already belongs to {owner.name!r}; remove one"
                yield Problem(rule.name, "mx", text)
            for other in rule.suffixes:
                if other != suffix and has_suffix(suffix, other):
                    text = f"suffix {suffix} never decides, since {other} covers it; remove it"
                    yield Problem(rule.name, "mx", text)
