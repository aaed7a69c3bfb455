"""Invariants of shaping: any site can be ruled, nothing odd stops mail, and blame is deserved."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from mta.policy.shaping import PERIODS, VALUES, Explained, ShapingRule, limits_for, load_rules
from mta.policy.shaping_check import problems_of
from mta.policy.site import site_name

SHIPPED = load_rules()
LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
HOSTS = st.lists(
    st.lists(LABELS, min_size=1, max_size=4).map(lambda parts: ".".join([*parts, "example"])),
    min_size=1,
    max_size=6,
)
RATES = st.fixed_dictionaries(
    {}, optional={name: st.integers(1, 200) for name in (*PERIODS, "burst")}
)


@given(HOSTS)
def test_every_site_can_be_named_by_a_rule(hosts: list[str]) -> None:
    site = site_name(hosts)
    rule = ShapingRule("mine", "site", site, {"connections": 1})
    assert problems_of([*SHIPPED, rule]) == []
    assert limits_for([*SHIPPED, rule], site=site, mx_hosts=hosts).limits.connections == 1


@given(
    st.lists(
        st.builds(
            ShapingRule,
            name=st.text(max_size=5),
            match_kind=st.sampled_from(["default", "provider", "site", "moon"]),
            match=st.sampled_from(["", "google", "x.example", "(a|b).example", "(", "X."]),
            values=st.dictionaries(
                st.sampled_from([*VALUES, "speed"]),
                st.one_of(st.integers(-2, 9), st.floats(), st.text(max_size=3), st.booleans()),
            ),
            suffixes=st.lists(st.text(max_size=6), max_size=2).map(tuple),
            source=st.sampled_from(["", "out1"]),
        ),
        max_size=4,
    )
)
def test_no_rule_however_odd_stops_mail_or_the_validator(rules: list[ShapingRule]) -> None:
    problems_of([*SHIPPED, *rules])
    found = limits_for(rules, site="x.example", mx_hosts=["x.example"], source="out1")
    assert found.limits.connections >= 1
    assert all(rate.per_second > 0 and rate.burst >= 1 for rate in found.rates())


@given(RATES)
def test_a_rate_that_is_blamed_changes_nothing(values: dict[str, float]) -> None:
    """Without the rates that the validator calls useless, as much passes in any time."""
    rule = ShapingRule("mine", "site", "x.example", values)
    blamed = {one.field for one in problems_of([*SHIPPED, rule]) if "never be reached" in one.text}
    kept = {name: value for name, value in values.items() if name not in blamed}
    whole, rest = explained(values), explained(kept)
    for seconds in (0.0, 0.5, 1, 10, 60, 600, 3600, 86_400, 1e6):
        assert passing(whole, seconds) == passing(rest, seconds)


@given(RATES, st.sampled_from(sorted(PERIODS.values())))
def test_a_window_has_at_most_its_limit_and_a_burst(values: dict[str, float], seconds: int) -> None:
    """And no more than a tenth of it goes at once, where no rule says another burst."""
    for rate in explained(values).rates():
        limit = rate.per_second * PERIODS[rate.name]
        own = math.ceil(limit / (1 if rate.name == "messages_per_second" else 10))
        burst = values.get("burst", 0)
        assert rate.burst in {burst, *range(1, own + 1)}
        if PERIODS[rate.name] == seconds:
            assert passing(explained(values), seconds) <= limit + max(own, burst) + 1e-6


@given(st.integers(1, 1000), st.integers(100, 100_000))
def test_a_slower_rate_can_be_used_up_at_the_faster_one(fast: int, slow: int) -> None:
    """After a rest, an hour's share of a day goes as fast as the second allows."""
    found = explained({"messages_per_second": fast, "messages_per_day": slow})
    share = math.ceil(slow / 24)
    assert passing(found, share / fast) >= share


def explained(values: dict[str, float]) -> Explained:
    rule = ShapingRule("mine", "site", "x.example", values)
    return limits_for([*SHIPPED, rule], site="x.example", mx_hosts=["x.example"])


def passing(of: Explained, seconds: float) -> float:
    """Messages that all rates together let through in this time."""
    return min(rate.burst + seconds * rate.per_second for rate in of.rates())
