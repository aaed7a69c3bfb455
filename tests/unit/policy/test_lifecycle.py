"""The table of states: what may follow what, and that nothing leaves a final state."""

import pytest

from mta.policy.lifecycle import FINAL, TRANSITIONS, WAITING, State, TransitionError, check


def test_every_state_has_a_row() -> None:
    assert set(TRANSITIONS) == set(State)


def test_final_states_are_those_that_owe_nothing() -> None:
    assert {"delivered", "bounced", "expired", "suppressed", "admin_bounced"} == FINAL
    assert {"scheduled", "deferred"} == WAITING


@pytest.mark.parametrize("old", sorted(FINAL))
@pytest.mark.parametrize("new", sorted(State))
def test_nothing_leaves_a_final_state(old: State, new: State) -> None:
    with pytest.raises(TransitionError, match="final"):
        check(old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("scheduled", "claimed"),
        ("claimed", "delivered"),
        ("claimed", "deferred"),
        ("claimed", "scheduled"),
        ("deferred", "claimed"),
        ("deferred", "expired"),
        ("held", "scheduled"),
        ("held", "admin_bounced"),
    ],
)
def test_the_main_path_is_allowed(old: str, new: str) -> None:
    check(old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("scheduled", "delivered"),
        ("deferred", "bounced"),
        ("claimed", "admin_bounced"),
        ("held", "claimed"),
        ("claimed", "claimed"),
    ],
)
def test_shortcuts_are_refused(old: str, new: str) -> None:
    with pytest.raises(TransitionError, match="allowed"):
        check(old, new)


def test_every_state_can_reach_a_final_one() -> None:
    reached = set(FINAL)
    while True:
        more = {state for state, after in TRANSITIONS.items() if after & reached} - reached
        if not more:
            break
        reached |= more
    assert reached == set(State)


def test_an_unknown_word_is_no_state() -> None:
    with pytest.raises(ValueError, match="sent"):
        check("claimed", "sent")
