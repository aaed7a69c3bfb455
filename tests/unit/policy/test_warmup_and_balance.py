"""Templates of warmup, and the choice between sources."""

import random
from collections import Counter

import pytest

from mta.policy.balance import Candidate, choose_source
from mta.policy.warmup import WarmupError, load_templates, parse_templates


def test_the_shipped_templates_rise() -> None:
    templates = load_templates()
    assert templates["careful"][:2] == (50, 100)
    assert templates["daily"][0] == 200
    assert templates["daily"][-1] == 10_000_000


@pytest.mark.parametrize(
    "toml",
    ["[a", "a = 1", "[a]\nstages = []", "[a]\nstages = [2, 1]", "[a]\nstages = [0]",
     "[a]\nstages = [1.5]", "[a]\nstages = [true]"],
)  # fmt: skip
def test_a_bad_template_is_refused(toml: str) -> None:
    with pytest.raises(WarmupError):
        parse_templates(toml)


def test_weights_are_shares() -> None:
    rng = random.Random(7)
    sources = [Candidate(1, 3, None), Candidate(2, 1, 10), Candidate(3, 0, None)]
    chosen = Counter(choose_source(sources, rng) for _ in range(4000))
    assert set(chosen) == {1, 2}
    assert 2.5 < chosen[1] / chosen[2] < 3.6


def test_exhausted_sources_are_skipped() -> None:
    rng = random.Random(7)
    sources = [Candidate(1, 3, 0), Candidate(2, 1, 1), Candidate(4, 5, -2)]
    assert {choose_source(sources, rng) for _ in range(50)} == {2}
    assert choose_source([Candidate(1, 3, 0)], rng) is None
    assert choose_source([], rng) is None
