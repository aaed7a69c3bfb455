"""Automations as values: which reply, how often, calls for what, and for how long.

Rule 1: a pattern is looked for in the masked text of a reply, as those of the bounce rules are:
        lower case, without code and enhanced status, with "#" for addresses, ids and long numbers
        (mta/policy/classify.py). So a threshold counts replies of one meaning.
Rule 2: a provider's automations are asked before those for any; the first that matches counts.
Rule 3: what is done has an end: `duration_seconds` after the reply that reached the threshold.
Rule 4: this file is the data; mta/policy/automation.py decides, automation_check proves.
"""

import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from importlib.resources import files
from typing import Any

#: What an automation does -> the field that it needs.
ACTIONS: Mapping[str, str] = {
    "slow": "rate_per_minute",
    "one_connection": "",
    "connections": "connections",
    "messages_per_connection": "messages_per_connection",
    "suspend": "",
    "switch_source": "",
}


class AutomationError(ValueError):
    """An automation that cannot be read; the message names rule, field and fix."""


@dataclass(frozen=True, slots=True)
class AutomationRule:
    """After `threshold` matching replies within the window: `action`, for the duration.

    For one source and site. `slow` may say how many connections as well, `one_connection` and
    `connections` how many messages each may carry: what is given holds for as long.
    """

    name: str
    pattern: str  #: regex over the masked text
    action: str  #: key of ACTIONS
    duration_seconds: int
    provider: str = ""  #: empty: any, and where none is known
    threshold: int = 1  #: matching replies
    window_seconds: int = 3600
    rate_per_minute: float = 0.0  #: messages; 0: not set
    connections: int = 0  #: 0: not set
    messages_per_connection: int = 0  #: 0: not set
    samples: tuple[str, ...] = ()  #: replies that this rule decides

    @property
    def most_connections(self) -> int:
        """Connections that may stay open; 0: as many as before."""
        return 1 if self.action == "one_connection" else self.connections


_NEEDED = [item.name for item in fields(AutomationRule) if item.default is MISSING]
_KINDS: Mapping[object, tuple[str, tuple[type, ...]]] = {
    str: ("a text", (str,)),
    int: ("a whole number", (int,)),
    float: ("a number", (int, float)),
    tuple[str, ...]: ("a list of replies", (list,)),
}
#: Field -> what it has to be, in words and in types.
_WANTED = {item.name: _KINDS[item.type] for item in fields(AutomationRule)}


def asked(rules: Sequence[AutomationRule], provider: str) -> tuple[AutomationRule, ...]:
    """Automations for replies of `provider` ("": none is known), in the order they are asked."""
    own = tuple(rule for rule in rules if provider and rule.provider == provider)
    return own + tuple(rule for rule in rules if not rule.provider)


def parse_automation(row: Mapping[str, Any]) -> AutomationRule:
    """Make a rule from one TOML table; AutomationError names what cannot be read."""
    name = row.get("name")
    if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9]+(?:-[a-z0-9]+)*", name):
        raise AutomationError(f"rule {name!r}: name must be lower-case words joined by '-'")
    if missing := [field for field in _NEEDED if field not in row]:
        raise AutomationError(f"rule {name!r}: {missing[0]} is missing; give it")
    values = {field: _read(name, field, value) for field, value in row.items()}
    return AutomationRule(**values)


def _read(name: str, field: str, value: Any) -> Any:
    if field not in _WANTED:
        known = ", ".join(sorted(_WANTED))
        raise AutomationError(f"rule {name!r}: unknown field {field!r}; known: {known}")
    wanted, kinds = _WANTED[field]
    fits = isinstance(value, kinds) and not isinstance(value, bool)
    if not fits or (field == "rate_per_minute" and not math.isfinite(value)):
        raise AutomationError(f"rule {name!r}: {field} {value!r} must be {wanted}")
    return tuple(map(str, value)) if field == "samples" else value


def parse_automations(toml: str) -> tuple[AutomationRule, ...]:
    """Read automations in the order of the file; AutomationError on what is no list of them."""
    try:
        document = tomllib.loads(toml)
    except tomllib.TOMLDecodeError as error:
        raise AutomationError(f"the automations are not TOML: {error}") from error
    rows = document.get("automation", [])
    if set(document) - {"automation"} or not isinstance(rows, list) or not rows:
        raise AutomationError("the automations must be a non-empty list of [[automation]] tables")
    return tuple(parse_automation(row) for row in rows)


def load_automations() -> tuple[AutomationRule, ...]:
    """Read the automations that come with Mailmill."""
    text = files("mta.policy").joinpath("data/automations.toml").read_text("utf-8")
    return parse_automations(text)
