"""How much a new IP address may send: a schedule of messages a day, one stage per day.

Rule 1: the day it starts is the first stage; after the last stage the source is warm: no cap.
Rule 2: before it starts nothing may be sent.
Rule 3: templates are data (data/warmup.toml), refused loudly when they do not rise.
"""

import tomllib
from collections.abc import Mapping, Sequence
from datetime import date
from importlib.resources import files
from itertools import pairwise


class WarmupError(ValueError):
    """A template that is no schedule; the message names it and the fix."""


def daily_cap(stages: Sequence[int], started_on: date, today: date) -> int | None:
    """Messages allowed on `today`; None when the schedule is over (or empty): warm, no cap."""
    if not stages:
        return None
    day = (today - started_on).days
    if day < 0:
        return 0
    return stages[day] if day < len(stages) else None


def parse_templates(toml: str) -> Mapping[str, tuple[int, ...]]:
    """Read named schedules; WarmupError unless each is a rising list of whole numbers above 0."""
    try:
        document = tomllib.loads(toml)
    except tomllib.TOMLDecodeError as error:
        raise WarmupError(f"the warmup templates are not TOML: {error}") from error
    templates = {}
    for name, row in document.items():
        stages = row.get("stages") if isinstance(row, dict) else None
        if not isinstance(stages, list) or not stages:
            raise WarmupError(f"template {name!r}: stages must be a list of messages per day")
        if not all(type(stage) is int and stage > 0 for stage in stages):
            raise WarmupError(f"template {name!r}: every stage must be a whole number above 0")
        if any(later < earlier for earlier, later in pairwise(stages)):
            raise WarmupError(f"template {name!r}: stages must rise from day to day")
        templates[name] = tuple(stages)
    return templates


def load_templates() -> Mapping[str, tuple[int, ...]]:
    """Read the templates that come with Mailmill."""
    return parse_templates(files("mta.policy").joinpath("data/warmup.toml").read_text("utf-8"))
