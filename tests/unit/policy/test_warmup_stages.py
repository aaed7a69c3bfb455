"""Stages as people write them, and how a day's cap is spread."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.policy.warmup import (
    MOST_PER_DAY,
    WarmupError,
    grow,
    load_templates,
    parse_stages,
    spread,
    stage_cap,
)


@pytest.mark.parametrize(
    ("text", "stages"),
    [
        ("50 100 200", (50, 100, 200)),
        ("50, 100\n200;400", (50, 100, 200, 400)),
        ("1_000 1_000", (1000, 1000)),
        ("50, 2, 5", (50, 100, 200, 400, 800)),
        ("20, 1.4, 4", (20, 28, 39, 55)),
        ("7", (7,)),
        ("50 100, 200", (50, 100, 200)),
    ],
)
def test_a_list_or_start_factor_days(text: str, stages: tuple[int, ...]) -> None:
    assert parse_stages(text) == stages


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "there are no stages"),
        ("fifty", "stages are numbers"),
        ("-5 10", "stages are numbers"),
        ("nan", "stages are numbers"),
        ("1e9", "stages are numbers"),
        ("0 10", "stage 1 is 0"),
        ("100 50", "stage 2 falls from 100 to 50"),
        ("1.5 2", "whole number"),
        ("99999999999", "stage 1 is 99999999999"),
        ("50, 0.5, 9", "the factor must be 1 to 100, not 0.5"),
        ("50, 1.5, 400", "1 to 365 days, not 400"),
        ("0, 0, 5", "stage 1 is 0"),
        (" ".join(["5"] * 366), "1 to 365 stages, not 366"),
    ],
)
def test_what_is_no_schedule_is_refused(text: str, problem: str) -> None:
    with pytest.raises(WarmupError, match=problem):
        parse_stages(text)


@given(st.text(max_size=40) | st.from_regex(r"[0-9., ]{0,20}", fullmatch=True))
def test_whatever_is_typed_is_stages_or_an_error(text: str) -> None:
    try:
        stages = parse_stages(text)
    except WarmupError:
        return
    assert stages
    assert list(stages) == sorted(stages)
    assert 1 <= stages[0] <= stages[-1] <= MOST_PER_DAY


@given(st.integers(1, 10_000), st.floats(1, 100), st.integers(1, 365))
def test_growth_never_falls(start: int, factor: float, days: int) -> None:
    stages = grow(start, factor, days)
    assert len(stages) == days
    assert stages[0] == start
    assert list(stages) == sorted(stages)


def test_a_day_is_spread_over_its_hours() -> None:
    assert spread(1200, 12) == (1200 / 43_200, 100)
    assert spread(5, 24) == (5 / 86_400, 1)
    assert spread(50, 0) == (0.0, 50)


def test_beyond_the_last_stage_is_the_last() -> None:
    assert [stage_cap((5, 6), stage) for stage in (0, 1, 2, 3)] == [5, 5, 6, 6]


def test_a_template_can_be_typed_in() -> None:
    for stages in load_templates().values():
        assert parse_stages(" ".join(map(str, stages))) == stages
