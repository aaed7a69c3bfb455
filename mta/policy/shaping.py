"""How hard a site may be pushed: layered rules, and where each value came from.

Rule 1: default < provider < site < site for one source; within a layer the later rule wins.
Rule 2: a rule says only what it changes; the default row says everything, so nothing is implied.
Rule 3: a provider is known by its MX suffixes; the rules that name them define it.
"""

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib.resources import files
from typing import Any

from mta.policy.site import has_suffix, provider_of

KINDS = ("default", "provider", "site")
TLS_MODES = ("none", "opportunistic", "required", "verified")


class ShapingError(ValueError):
    """A shaping file that cannot be read; the message names the row and the fix."""


@dataclass(frozen=True, slots=True)
class EgressLimits:
    """The limits of one egress path (source, site); time-outs in seconds, RFC 5321 4.5.3.2."""

    connections: int = 10
    messages_per_connection: int = 100
    messages_per_second: float = 100.0
    burst: int = 100  #: without a rule of its own: one second's messages
    connections_per_minute: int = 100
    tls: str = "opportunistic"  #: one of TLS_MODES
    connect_timeout: float = 60.0
    greeting_timeout: float = 300.0
    ehlo_timeout: float = 300.0
    mail_timeout: float = 300.0
    rcpt_timeout: float = 300.0
    data_timeout: float = 120.0
    block_timeout: float = 180.0
    dot_timeout: float = 600.0
    quit_timeout: float = 5.0


VALUES = {item.name: item.type for item in fields(EgressLimits)}
_WHOLE = frozenset({"connections", "messages_per_connection", "burst", "connections_per_minute"})


@dataclass(frozen=True, slots=True)
class ShapingRule:
    """One row: whom it speaks about and which values it sets."""

    name: str  #: how explain_path calls it
    match_kind: str  #: one of KINDS
    match: str = ""  #: "", a provider's name, or a site name or MX suffix
    values: Mapping[str, int | float | str] = field(default_factory=dict)  #: keys of VALUES
    suffixes: tuple[str, ...] = ()  #: MX suffixes that make up the provider
    source: str = ""  #: only for mail from this source (site rules)


@dataclass(frozen=True, slots=True)
class Explained:
    """Limits with the reason for each: value name -> name of the rule it came from."""

    limits: EgressLimits
    provider: str
    origin: dict[str, str]


def parse_rules(toml: str) -> tuple[ShapingRule, ...]:
    """Read a shaping file; ShapingError when it is none. Values are judged by validate()."""
    try:
        document = tomllib.loads(toml)
    except tomllib.TOMLDecodeError as error:
        raise ShapingError(f"the shaping rules are not TOML: {error}") from error
    if unknown := sorted(set(document) - {"default", "provider"}):
        raise ShapingError(f"unknown table {unknown[0]!r}; use [default] and [provider.NAME]")
    rules = [ShapingRule("default", "default", values=_table(document.get("default"), "default"))]
    for name, row in _table(document.get("provider", {}), "provider").items():
        values = dict(_table(row, f"provider.{name}"))
        suffixes = values.pop("mx", [])
        if not isinstance(suffixes, list):
            raise ShapingError(f"provider {name!r}: mx must be a list of host suffixes")
        rules.append(ShapingRule(name, "provider", name, values, tuple(map(str, suffixes))))
    return tuple(rules)


def _table(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ShapingError(f"[{name}] is missing or no table")
    return value


def load_rules() -> tuple[ShapingRule, ...]:
    """Read the rules that come with Mailmill."""
    return parse_rules(files("mta.policy").joinpath("data/shaping.toml").read_text("utf-8"))


def providers(rules: Sequence[ShapingRule]) -> dict[str, tuple[str, ...]]:
    """Return the providers that the rules define: name -> MX suffixes."""
    return {rule.match: rule.suffixes for rule in rules if rule.suffixes}


def limits_for(
    rules: Sequence[ShapingRule], *, site: str, mx_hosts: Sequence[str], source: str = ""
) -> Explained:
    """Layer the rules that speak about this path; values a rule gets wrong are ignored.

    Ignored, because a row of the admin must not stop mail; validate() tells about it.
    """
    provider = provider_of(mx_hosts, providers(rules))
    chosen: dict[str, Any] = {}
    origin = dict.fromkeys(VALUES, "built-in")
    for rule in sorted(rules, key=_layer):  # a stable sort keeps the order within a layer
        if not _speaks_about(rule, provider, site, mx_hosts, source):
            continue
        for name, value in rule.values.items():
            if not _fault(name, value):
                chosen[name] = value if name in _WHOLE or name == "tls" else float(value)
                origin[name] = rule.name
    if "burst" not in chosen and "messages_per_second" in chosen:
        chosen["burst"] = max(1, math.ceil(chosen["messages_per_second"]))
        origin["burst"] = origin["messages_per_second"]
    return Explained(EgressLimits(**chosen), provider, origin)


def _layer(rule: ShapingRule) -> int:
    return KINDS.index(rule.match_kind) + (rule.source != "") if rule.match_kind in KINDS else 9


def _speaks_about(
    rule: ShapingRule, provider: str, site: str, mx_hosts: Sequence[str], source: str
) -> bool:
    if rule.source and rule.source != source:
        return False
    if rule.match_kind == "default":
        return True
    if rule.match_kind == "provider":
        return rule.match != "" and rule.match == provider
    named = rule.match_kind == "site" and rule.match != ""
    return named and (
        rule.match == site
        or (bool(mx_hosts) and all(has_suffix(host, rule.match) for host in mx_hosts))
    )


def _fault(name: str, value: object) -> str:
    """Say what is wrong with one value; "" when nothing is."""
    if name not in VALUES:
        return f"{name} is no limit; known: {', '.join(sorted(VALUES))}"
    if name == "tls":
        return "" if value in TLS_MODES else f"tls {value!r} is none of {', '.join(TLS_MODES)}"
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return f"{name} {value!r} is no number"
    if name in _WHOLE and not isinstance(value, int):
        return f"{name} {value!r} must be a whole number"
    # 0 a second means no limit of the rate; everything else must let something through.
    if value < 0 or (value == 0 and name != "messages_per_second"):
        return f"{name} {value!r} must be above 0"
    return ""


def validate(rules: Sequence[ShapingRule]) -> list[str]:
    """Return one sentence per problem, naming rule and fix; empty when all is well."""
    problems = [
        f"rule {rule.name!r}: {fault}"
        for rule in rules
        for name, value in rule.values.items()
        if (fault := _fault(name, value))
    ]
    seen: dict[str, str] = {}
    for rule in rules:
        problems.extend(_match_faults(rule, providers(rules)))
        for suffix in rule.suffixes:
            if suffix in seen:
                problems.append(f"rule {rule.name!r}: {suffix} already belongs to {seen[suffix]!r}")
            seen[suffix] = rule.name
    defaults = {name for rule in rules if rule.match_kind == "default" for name in rule.values}
    needed = ("connections", "messages_per_connection", "messages_per_second", "tls")
    problems.extend(
        f"rule 'default': {name} is missing; every limit needs a default"
        for name in needed
        if name not in defaults
    )
    return problems


def _match_faults(rule: ShapingRule, known: Mapping[str, tuple[str, ...]]) -> list[str]:
    where = f"rule {rule.name!r}"
    if rule.match_kind not in KINDS:
        return [f"{where}: match kind {rule.match_kind!r} is none of {', '.join(KINDS)}"]
    if (rule.match == "") != (rule.match_kind == "default"):
        return [f"{where}: a {rule.match_kind} rule and the match {rule.match!r} do not fit"]
    faults = []
    if rule.match_kind == "provider" and rule.match not in known:
        faults.append(f"{where}: no rule gives MX suffixes to provider {rule.match!r}; add mx")
    if rule.match_kind != "default" and not rule.values:
        faults.append(f"{where}: sets nothing")
    for suffix in rule.suffixes:
        if suffix.endswith(".") or suffix.startswith((".", "*")) or suffix != suffix.lower():
            faults.append(f"{where}: suffix {suffix!r} never matches; write it as example.com")
        elif "." not in suffix or " " in suffix:
            faults.append(f"{where}: suffix {suffix!r} is no host suffix; write it as example.com")
    return faults
