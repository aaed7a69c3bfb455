"""Bounce rules as values: data/bounces.toml parsed, and refused loudly when it is nonsense.

Rule 1: a field the file leaves out has the default of its class, from CLASS_DEFAULTS.
Rule 2: a rule is plain data; classify applies it, rules_check proves it.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from mta.policy.verdict import ACTIONS, BOUNCE_CLASSES, SCOPES

STAGES = ("connect", "ehlo", "starttls", "mail", "rcpt", "data", "dot", "dns", "local")

#: Scope and action of a class, unless the rule says otherwise.
CLASS_DEFAULTS: Mapping[str, tuple[str, str]] = {
    "bad_mailbox": ("recipient", "suppress"),
    "bad_domain": ("recipient", ""),
    "inactive": ("recipient", "suppress"),
    "quota": ("recipient", ""),
    "size": ("message", ""),
    "spam_content": ("message", ""),
    "reputation": ("site", "operator"),
    "auth": ("message", "operator"),
    "policy": ("message", ""),
    "rate_limited": ("site", "slow"),
    "greylisted": ("recipient", ""),
    "connection": ("session", ""),
    "dns": ("recipient", ""),
    "tls": ("session", ""),
    "protocol": ("message", ""),
    "sender": ("message", ""),
    "relay_denied": ("recipient", "operator"),
    "virus": ("message", "operator"),
    "loop": ("message", "operator"),
    "expired": ("recipient", ""),
    "other": ("recipient", ""),
}

_KEYS = frozenset(
    [
        "name",
        "class",
        "codes",
        "enhanced",
        "text",
        "stages",
        "providers",
        "first_attempts",
        "permanent",
        "scope",
        "action",
        "samples",
        "note",
    ]
)
_CODE = re.compile(r"[2-5]xx|0|[2-5]\d\d")
_ENHANCED = re.compile(r"[x45]\.\d{1,3}\.(?:\d{1,3}|\*)")


class RuleError(ValueError):
    """A rule that cannot be read; the message names the rule, the field and the fix."""


@dataclass(frozen=True, slots=True)
class BounceRule:
    """One row of knowledge about replies; all stated conditions must hold."""

    name: str
    bounce_class: str
    codes: tuple[str, ...] = ("4xx", "5xx")  #: "550", "5xx", "0" for no reply at all
    enhanced: tuple[str, ...] = ()  #: "x.1.1", "5.7.*"; empty: any or none
    text: tuple[str, ...] = ()  #: regexes over the masked text; empty: any
    stages: tuple[str, ...] = ()  #: empty: any
    providers: tuple[str, ...] = ()  #: empty: any
    first_attempts: int = 0  #: only while fewer attempts were made; 0: always
    may_be_permanent: bool = True  #: False: temporary although the code is 5xx
    scope: str = "recipient"
    action: str = ""
    samples: tuple[str, ...] = ()  #: replies this rule must decide


def _strings(row: Mapping[str, Any], key: str, name: str) -> tuple[str, ...]:
    value = row.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str | int) for item in value):
        raise RuleError(f"rule {name!r}: {key} must be a list of strings")
    return tuple(str(item) for item in value)


def _one_of(value: object, allowed: frozenset[str], field: str, name: str) -> str:
    if not isinstance(value, str) or value not in allowed:
        known = ", ".join(sorted(allowed - {""}))
        raise RuleError(f"rule {name!r}: {field} {value!r} is unknown; use one of {known}")
    return value


def parse_rule(row: Mapping[str, Any]) -> BounceRule:
    """Make a rule from one TOML table; RuleError names what is wrong with it."""
    name = row.get("name", "")
    if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9]+(?:-[a-z0-9]+)*", name):
        raise RuleError(f"rule {name!r}: name must be lower-case words joined by '-'")
    if unknown := sorted(set(row) - _KEYS):
        raise RuleError(f"rule {name!r}: unknown field {unknown[0]!r}; known: {sorted(_KEYS)}")
    bounce_class = _one_of(row.get("class"), frozenset(BOUNCE_CLASSES), "class", name)
    scope, action = CLASS_DEFAULTS[bounce_class]
    codes = _strings(row, "codes", name) or ("4xx", "5xx")
    enhanced = _strings(row, "enhanced", name)
    for items, form, field in ((codes, _CODE, "codes"), (enhanced, _ENHANCED, "enhanced")):
        if bad := [item for item in items if not form.fullmatch(item)]:
            raise RuleError(f"rule {name!r}: {field} has {bad[0]!r}, which can match nothing")
    stages = _strings(row, "stages", name)
    for stage in stages:
        _one_of(stage, frozenset(STAGES), "stages", name)
    if row.get("permanent", False) is not False:
        raise RuleError(f"rule {name!r}: permanent can only be false; the code makes it true")
    attempts = row.get("first_attempts", 0)
    if not isinstance(attempts, int) or isinstance(attempts, bool) or attempts < 0:
        raise RuleError(f"rule {name!r}: first_attempts must be a number of attempts")
    return BounceRule(
        name=name,
        bounce_class=bounce_class,
        codes=codes,
        enhanced=enhanced,
        text=_strings(row, "text", name),
        stages=stages,
        providers=_strings(row, "providers", name),
        first_attempts=attempts,
        may_be_permanent="permanent" not in row,
        scope=_one_of(row.get("scope", scope), SCOPES, "scope", name),
        action=_one_of(row.get("action", action), ACTIONS, "action", name),
        samples=_strings(row, "samples", name),
    )


def parse_rules(toml: str) -> tuple[BounceRule, ...]:
    """Read rules in the order of the file; RuleError on anything that is no list of rules."""
    try:
        document = tomllib.loads(toml)
    except tomllib.TOMLDecodeError as error:
        raise RuleError(f"the bounce rules are not TOML: {error}") from error
    rows = document.get("rule", [])
    if set(document) - {"rule"} or not isinstance(rows, list) or not rows:
        raise RuleError("the bounce rules must be a non-empty list of [[rule]] tables")
    return tuple(parse_rule(row) for row in rows)


def load_rules() -> tuple[BounceRule, ...]:
    """Read the rules that come with Mailmill."""
    return parse_rules(files("mta.policy").joinpath("data/bounces.toml").read_text("utf-8"))
