"""How much a new IP address may send: a schedule of stages, each so many messages a day.

Rule 1: the schedule says how much a stage is; warmup_gate says when the next one comes.
Rule 2: a day's messages are spread: so many a second, and at most an hour's share at once.
Rule 3: before the first day nothing may be sent.
Rule 4: stages never fall; templates are data (data/warmup.toml), refused loudly when they do.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from importlib.resources import files


class WarmupError(ValueError):
    """Stages that are no schedule; the message says what is wrong and what to write."""


#: Stages of one schedule; ten thousand days would be a typing error.
MOST_STAGES = 365
#: Messages a day of one stage.
MOST_PER_DAY = 1_000_000_000
HOW = "write them as 50 100 200 400, or as start, factor, days: 50, 1.5, 20"


def stage_cap(stages: Sequence[int], stage: int) -> int:
    """Messages a day of a stage, 1 is the first; beyond the last one it is the last one's."""
    return stages[min(max(stage, 1), len(stages)) - 1]


def spread(cap: int, hours: float) -> tuple[float, int]:
    """(messages a second, messages at once) of a day's cap; 0 hours: (0.0, the cap): no rate."""
    if not hours:
        return 0.0, max(1, cap)
    return cap / (hours * 3600), max(1, round(cap / hours))


def parse_stages(text: str) -> tuple[int, ...]:
    """Stages as people write them: a list, or start, factor and days; WarmupError when neither.

    `50 100 200` is a list; `50, 1.5, 20` starts at 50 and multiplies by 1.5 on each of 20 days. A
    list has to rise, so three numbers that fall, or one with a point, are never a list.
    """
    words = re.split(r"[\s,;]+", text.strip().replace("_", "")) if text.strip() else []
    if not all(re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,6})?", word) for word in words):
        raise WarmupError(f"stages are numbers; {HOW}")
    numbers = [float(word) for word in words]
    if not numbers:
        raise WarmupError(f"there are no stages; {HOW}")
    if len(numbers) == 3 and text.count(",") == 2 and numbers[1] < numbers[0]:
        return grow(round(numbers[0]), numbers[1], round(numbers[2]))
    if not all(number.is_integer() for number in numbers):
        raise WarmupError(f"every stage must be a whole number; {HOW}")
    return checked([int(number) for number in numbers])


def grow(start: int, factor: float, days: int) -> tuple[int, ...]:
    """Stages that begin at `start` and grow by `factor` each day; WarmupError out of bounds."""
    if not 1 <= days <= MOST_STAGES:
        raise WarmupError(f"give 1 to {MOST_STAGES} days, not {days}")
    if not 1 <= factor <= 100:
        raise WarmupError(f"the factor must be 1 to 100, not {factor:g}: stages do not fall")
    stages, value = [], float(start)
    for _ in range(days):
        stages.append(round(min(value, MOST_PER_DAY)))
        value = min(value * factor, float(MOST_PER_DAY))
    return checked(stages)


def checked(stages: Sequence[int]) -> tuple[int, ...]:
    """The stages, when they are a schedule; else WarmupError."""
    if not 1 <= len(stages) <= MOST_STAGES:
        raise WarmupError(f"a schedule has 1 to {MOST_STAGES} stages, not {len(stages)}")
    for day, (before, stage) in enumerate(zip([1, *stages], stages, strict=False), 1):
        if not 1 <= stage <= MOST_PER_DAY:
            raise WarmupError(f"stage {day} is {stage}: give 1 to {MOST_PER_DAY:,} messages a day")
        if stage < before:
            raise WarmupError(f"stage {day} falls from {before:,} to {stage:,}: stages must rise")
    return tuple(stages)


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
        try:
            templates[name] = checked(stages)
        except WarmupError as error:
            raise WarmupError(f"template {name!r}: {error}") from None
    return templates


def load_templates() -> Mapping[str, tuple[int, ...]]:
    """Read the templates that come with Mailmill."""
    return parse_templates(files("mta.policy").joinpath("data/warmup.toml").read_text("utf-8"))
