"""Turns: by weight, urgent mail first and never alone."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.policy.fairness import OTHERS_SHARE, Fair


def served(fair: Fair, weights: dict[int, int], turns: int, size: int = 1) -> Counter[int]:
    """Units per tenant, when all of them always have more."""
    got: Counter[int] = Counter()
    for _ in range(turns):
        tenant = fair.turn(list(weights), weights)
        fair.charge(tenant, size, urgent=False)
        got[tenant] += size
    return got


def test_nobody_has_no_turn() -> None:
    with pytest.raises(ValueError, match="somebody who waits"):
        Fair().turn([], {})


@given(st.dictionaries(st.integers(1, 50), st.integers(1, 9), min_size=2, max_size=8))
def test_units_go_by_weight(weights: dict[int, int]) -> None:
    rounds = 20
    got = served(Fair(), weights, rounds * sum(weights.values()))
    for tenant, weight in weights.items():
        assert abs(got[tenant] - rounds * weight) <= weight + 1


def test_large_batches_are_paid_for_later() -> None:
    fair = Fair(quantum=1)
    got: Counter[int] = Counter()
    for _ in range(400):
        tenant = fair.turn([1, 2], {})
        size = 100 if tenant == 1 else 1
        fair.charge(tenant, size, urgent=False)
        got[tenant] += size
    assert abs(got[1] - got[2]) <= 101


def test_who_comes_new_waits_for_one_turn_of_each() -> None:
    fair = Fair()
    served(fair, {1: 1}, 1000)
    order = []
    for _ in range(4):
        tenant = fair.turn([1, 2], {})
        fair.charge(tenant, 1, urgent=False)
        order.append(tenant)
    assert 2 in order[:2]


def test_nobody_saves_up_turns() -> None:
    fair = Fair()
    served(fair, {1: 1, 2: 1}, 10)
    served(fair, {1: 1}, 1000)
    assert served(fair, {1: 1, 2: 1}, 100)[2] <= 51


def test_urgent_mail_leaves_a_tenth() -> None:
    fair = Fair()
    got: Counter[bool] = Counter()
    for _ in range(1000):
        tenant = fair.turn([1], {})
        urgent = fair.urgent_next(tenant, urgent=True, other=True)
        fair.charge(tenant, 1, urgent=urgent, other_waits=True)
        got[urgent] += 1
    assert got[True] > got[False] >= 1000 * OTHERS_SHARE - 1


def test_one_kind_alone_has_all() -> None:
    fair = Fair()
    for _ in range(50):
        fair.charge(fair.turn([1], {}), 1, urgent=True, other_waits=False)
    assert fair.urgent_next(1, urgent=True, other=False)
    assert fair.urgent_next(1, urgent=True, other=True)
    assert not fair.urgent_next(1, urgent=False, other=True)


def test_what_is_owed_survives_a_turn_without_the_tenant() -> None:
    fair = Fair()
    for _ in range(9):
        fair.charge(fair.turn([1], {}), 1, urgent=True, other_waits=True)
    for _ in range(5):
        fair.charge(fair.turn([2], {}), 1, urgent=True)
    assert not fair.urgent_next(1, urgent=True, other=True)
