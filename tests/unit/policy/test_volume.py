"""Shares of a volume."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.policy.volume import USUAL, VolumeError, parse_shares, split


def test_shares_become_parts_of_one() -> None:
    assert parse_shares("google=3, yahoo=1") == {"google": 0.75, "yahoo": 0.25}
    assert parse_shares("google=60%; mx.site.test=40 %,") == {"google": 0.6, "mx.site.test": 0.4}
    assert sum(parse_shares(USUAL).values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no shares"), ("google", "'google' is no share"), ("=5", "is no share"),
        ("google=-1", "no share"), ("google=x", "no share"), ("google=inf", "no share"),
        ("google=0", "no share"), ("a=1,a=2", "a is given twice"),
    ],
)  # fmt: skip
def test_what_is_no_share_is_refused(text: str, problem: str) -> None:
    with pytest.raises(VolumeError, match=problem):
        parse_shares(text)


@given(
    st.integers(0, 10**9),
    st.dictionaries(st.sampled_from("abcdef"), st.floats(0.001, 1000), min_size=1),
)
def test_the_parts_are_the_whole(total: int, given_shares: dict[str, float]) -> None:
    shares = parse_shares(",".join(f"{name}={share!r}" for name, share in given_shares.items()))
    parts = split(total, shares)
    assert sum(parts.values()) == total
    assert min(parts.values()) >= 0
