"""How hard a site may be pushed: layered rules, and where each value came from.

Rule 1: default < provider < provider for one source < site < site for one source; within a layer
        the later rule wins.
Rule 2: a rule says only what it changes; the default row says everything, so nothing is implied.
Rule 3: a provider is known by its MX suffixes; the rules that name them define it.
Rule 4: a burst belongs to one rate: the fastest that the same rule sets; in a rule without rates to
        that of the burst below, or to the rate per second. Who sets that rate anew drops it.
Rule 5: what a provider's rule counts holds across all its sites together; what a rule for a site
        counts holds for that site, and the provider's limit holds beside it.
"""

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from importlib.resources import files
from typing import Any

from mta.policy.retry import parse_schedule
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
    messages_per_minute: float = 0.0  #: 0: none, like those of the hour and the day
    messages_per_hour: float = 0.0
    messages_per_day: float = 0.0
    burst: int = 100  #: without a rule of its own: that of the rate per second
    connections_per_minute: int = 100
    tls: str = "opportunistic"  #: one of TLS_MODES
    retry_steps: str = ""  #: waits such as "1m,5m,15m"; empty: the stream's
    life_hours: float = 0.0  #: 0: the stream's
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
#: Rates of messages: value name -> the seconds of its period.
PERIODS: Mapping[str, int] = {
    "messages_per_second": 1,
    "messages_per_minute": 60,
    "messages_per_hour": 3600,
    "messages_per_day": 86_400,
}
#: A rate's own burst is what flows in so many seconds, by its period: all of a second, a tenth of a
#: minute, a minute of an hour, an hour of a day. So a slower rate is used up at the faster one.
BURST_SECONDS: Mapping[int, int] = {1: 1, 60: 6, 3600: 60, 86_400: 3600}
#: What is counted for all mail of a source to a site, or to a provider when its rule says it.
COUNTED = ("connections", "connections_per_minute", *PERIODS, "burst")
_WHOLE = frozenset({"connections", "messages_per_connection", "burst", "connections_per_minute"})
_TEXT = frozenset({"tls", "retry_steps"})
_MAY_BE_ZERO = frozenset({*PERIODS, "life_hours"})


@dataclass(frozen=True, slots=True)
class ShapingRule:
    """One row: whom it speaks about and which values it sets."""

    name: str  #: how explain_path calls it
    match_kind: str  #: one of KINDS
    match: str = ""  #: "", a provider's name, or a site name or MX suffix
    values: Mapping[str, int | float | str] = field(default_factory=dict)  #: keys of VALUES
    suffixes: tuple[str, ...] = ()  #: MX suffixes that make up the provider
    source: str = ""  #: only for mail from this source (provider and site rules)


@dataclass(frozen=True, slots=True)
class Rate:
    """One rate of messages that a path has to keep."""

    name: str  #: key of PERIODS
    per_second: float
    burst: int  #: messages that may go at once after a rest
    rule: str
    across: bool  #: counted for source and provider; else for source and site


@dataclass(frozen=True, slots=True)
class Burst:
    """What a rule lets go at once after a rest."""

    count: int = 0  #: 0: no rule says it, each rate has its own
    rate: str = ""  #: key of PERIODS: whose burst it is


@dataclass(frozen=True, slots=True)
class Explained:
    """Limits with the reason for each: value name -> name of the rule it came from."""

    limits: EgressLimits
    provider: str
    origin: dict[str, str]
    #: Of COUNTED, what rules for the provider set: value and rule. It holds across all sites of
    #: the provider together. Where `origin` names the same rule, nothing else holds for the site.
    across: Mapping[str, tuple[int | float, str]] = field(default_factory=dict)
    #: The bursts that rules set, for the site and across.
    bursts: tuple[Burst, Burst] = (Burst(), Burst())

    def alone(self, name: str) -> bool:
        """Tell whether a counted value holds for the site by itself, not only across."""
        return name not in self.across or self.across[name][1] != self.origin[name]

    def rates(self) -> tuple[Rate, ...]:
        """All rates that messages of this path have to keep, none of them 0."""
        found = []
        for name in PERIODS:
            value = getattr(self.limits, name)
            if value and self.alone(name):
                found.append(_rate(name, value, self.bursts[0], self.origin[name], False))
            shared, rule = self.across.get(name, (0, ""))
            if shared:
                found.append(_rate(name, shared, self.bursts[1], rule, True))
        return tuple(found)


def natural_burst(value: float, seconds: int) -> int:
    """The burst of a rate of `value` in a period of BURST_SECONDS, at least one."""
    return max(1, math.ceil(round(value * BURST_SECONDS[seconds] / seconds, 6)))


def _rate(name: str, value: float, burst: Burst, rule: str, across: bool) -> Rate:
    seconds = PERIODS[name]
    count = burst.count if burst.rate == name else natural_burst(value, seconds)
    return Rate(name, value / seconds, count, rule, across)


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
    """Return the providers that the rules define: name -> MX suffixes, of all its rules."""
    found: dict[str, tuple[str, ...]] = {}
    for rule in rules:
        if rule.suffixes and rule.match_kind == "provider":
            found[rule.match] = found.get(rule.match, ()) + rule.suffixes
    return found


def limits_for(
    rules: Sequence[ShapingRule], *, site: str, mx_hosts: Sequence[str], source: str = ""
) -> Explained:
    """Layer the rules that speak about this path; values a rule gets wrong are ignored.

    Ignored, because a row of the admin must not stop mail; shaping_check tells about it.
    """
    provider = provider_of(mx_hosts, providers(rules))
    chosen: dict[str, Any] = {}
    origin = dict.fromkeys(VALUES, "built-in")
    across: dict[str, tuple[int | float, str]] = {}
    burst = shared = Burst()
    for rule in in_layers(rules):
        if not _speaks_about(rule, provider, site, mx_hosts, source):
            continue
        sound = _sound_values(rule)
        chosen |= sound
        origin |= dict.fromkeys(sound, rule.name)
        burst = _burst_after(burst, sound)
        if rule.match_kind == "provider":
            across |= {name: (sound[name], rule.name) for name in COUNTED if name in sound}
        if rule.match_kind != "site":
            shared = burst
    if not shared.count:
        across.pop("burst", None)
    if not burst.count:
        chosen.pop("burst", None)
        origin["burst"] = origin["messages_per_second"]
        if "messages_per_second" in chosen:
            chosen["burst"] = natural_burst(chosen["messages_per_second"], 1)
    return Explained(EgressLimits(**chosen), provider, origin, across, (burst, shared))


def _sound_values(rule: ShapingRule) -> dict[str, Any]:
    return {
        name: value if name in _WHOLE or name in _TEXT else float(value)
        for name, value in rule.values.items()
        if not fault_of_value(name, value)
    }


def _burst_after(below: Burst, values: Mapping[str, Any]) -> Burst:
    """Whose burst it is once a rule with these values lies upon `below` (rule 4)."""
    fastest = next((name for name in PERIODS if values.get(name)), "")
    if "burst" in values:
        return Burst(values["burst"], fastest or below.rate or "messages_per_second")
    return Burst() if below.rate in values else below


def in_layers(rules: Sequence[ShapingRule]) -> list[ShapingRule]:
    """The rules as they are laid upon each other; a stable sort keeps the order within a layer."""
    return sorted(rules, key=_layer)


def _layer(rule: ShapingRule) -> int:
    if rule.match_kind not in KINDS:
        return 2 * len(KINDS)
    return 2 * KINDS.index(rule.match_kind) + (rule.source != "")


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


def fault_of_value(name: str, value: object) -> str:
    """Say what is wrong with one value, to be read after its name; "" when nothing is."""
    if name not in VALUES:
        return f"is no limit; known: {', '.join(sorted(VALUES))}"
    if name == "tls":
        return "" if value in TLS_MODES else f"{value!r} is none of {', '.join(TLS_MODES)}"
    if name == "retry_steps":
        return _fault_of_schedule(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return f"{value!r} is no number; give one"
    if name in _WHOLE and not isinstance(value, int):
        return f"{value!r} must be a whole number"
    # A rate of 0 means no limit of the rate; everything else must let something through.
    if value < 0 or (value == 0 and name not in _MAY_BE_ZERO):
        return f"{value!r} must be above 0"
    return ""


def _fault_of_schedule(value: object) -> str:
    if not isinstance(value, str):
        return f"{value!r} is no text; write waits like 1m,5m,15m"
    try:
        parse_schedule(value or "1m")
    except ValueError as error:
        return f"{value!r} cannot be read: {error}"
    return ""
