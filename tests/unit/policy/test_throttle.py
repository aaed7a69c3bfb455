"""The state of an egress path, report by report, and what it means for the next message."""

from __future__ import annotations

import pytest

from mta.policy import throttle, throttle_changes
from mta.policy.throttle import PathState, Seen, from_json, narrower, step, to_json, ttl_ms, view
from mta.policy.throttle_faults import STRIKES, Hold
from mta.policy.throttled import Throttled

MINUTE = 60_000
T = 1_000_000_000


def seen(**values: object) -> Seen:
    found: dict[str, object] = {"full": 10.0, "connections": 10, **values}
    return Seen(**found)  # type: ignore[arg-type]  # the tests name the fields


def report(state: PathState | None, now: int, **values: object) -> PathState:
    """The next state, which must be one."""
    before = state or PathState("mail-1", "mx.example", "big", now)
    after = step(before, seen(throttled=state is not None, **values), now)
    assert after is not None
    return after


def looked(state: PathState, now: int) -> Throttled:
    found = view(state, now)
    assert found is not None
    return found


def hold(**values: object) -> Hold:
    found: dict[str, object] = {
        "rule": "busy", "action": "slow", "until": T + 30 * MINUTE, "reason": "451 busy", **values
    }  # fmt: skip
    return Hold(**found)  # type: ignore[arg-type]  # the tests name the fields


def test_a_block_lasts_half_an_hour_and_then_one_message_tries() -> None:
    state = report(None, T, blocked="550 banned", block_at_once=True)
    found = looked(state, T)
    assert (found.blocked, found.until) == (True, T + 30 * MINUTE)
    later = T + 30 * MINUTE
    found = looked(state, later)
    assert (found.blocked, found.until, found.rate, found.burst) == (False, 0, 0.1, 1)


def test_a_block_is_longer_each_time_up_to_four_hours() -> None:
    state, now, spans = None, T, []
    for _ in range(6):
        state = report(state, now, blocked="550 banned", block_at_once=True)
        spans.append((looked(state, now).until - now) // MINUTE)
        now = looked(state, now).until
    assert spans == [30, 60, 120, 240, 240, 240]


def test_behind_a_block_the_rate_comes_back_gradually_and_the_state_ends() -> None:
    state = report(None, T, blocked="550 banned", block_at_once=True)
    now = T + 31 * MINUTE
    rates = []
    for _ in range(4):
        state = report(state, now, counts=((now, 1),), answered=True)
        assert state.block is None
        rates.append(looked(state, now).rate)
        now += 40_000
    assert rates == pytest.approx([10 / 32, 10 / 8, 10 / 2, 10])
    assert step(state, seen(counts=((now, 1),), throttled=True), now + 11 * MINUTE) is None


def test_what_was_under_way_when_the_block_came_does_not_end_it() -> None:
    state = report(None, T, blocked="550 banned", block_at_once=True)
    state = report(state, T + 100, counts=((T + 100, 5),), answered=True)
    assert looked(state, T + 200).blocked


def test_strikes_count_only_without_an_accepted_message_between_them() -> None:
    state = None
    for number in range(STRIKES - 1):
        state = report(state, T + number, blocked="554 listed")
        assert not looked(state, T + number).blocked
    assert state is not None
    assert step(state, seen(counts=((T, 1),), throttled=True), T + 9) is None
    for number in range(STRIKES):
        state = report(state, T + 10 + number, blocked="554 listed")
    assert looked(state, T + 20).blocked


def test_a_dead_site_is_asked_at_growing_intervals() -> None:
    state, now, pauses = None, T, []
    for _ in range(2):
        state = report(state, now, unreachable="no answer")
        assert looked(state, now).until == 0
    for _ in range(7):
        state = report(state, now, unreachable="no answer")
        pauses.append((looked(state, now).until - now) // 1000)
        now = looked(state, now).until
    assert pauses == [30, 60, 120, 240, 480, 600, 600]
    assert state is not None
    found = looked(state, now)
    assert found.probe == "probe:mail-1:mx.example"
    assert found.until > now
    assert step(state, seen(answered=True, throttled=True), now) is None


def test_failures_of_runs_that_began_before_the_death_are_one() -> None:
    state = None
    for _ in range(3):
        state = report(state, T, unreachable="no answer")
    again = report(state, T + 1000, unreachable="no answer")
    assert looked(again, T + 1000).until == T + 30_000


def test_connections_fall_to_what_the_receiver_bears_and_return() -> None:
    state = report(None, T, crowded="421 too many connections", open=10)
    assert looked(state, T).connections == 7
    same = report(state, T + 1000, crowded="421 too many connections", open=7)
    assert looked(same, T + 1000).connections == 7
    state = report(state, T + 10_000, crowded="421 too many connections", open=7)
    assert looked(state, T + 10_000).connections == 4
    assert looked(state, T + 10_000 + 3 * MINUTE).connections == 5
    late = T + 15_000 + 3 * MINUTE
    state = report(state, late, crowded="421 too many connections", open=5)
    assert looked(state, late).connections == 4
    assert looked(state, late + 3 * MINUTE).connections == 4, "asked half as often"
    assert looked(state, late + 6 * MINUTE).connections == 5
    ended = late + 6 * 6 * MINUTE + throttle.DONE_MS + 1
    assert step(state, seen(counts=((ended, 1),), throttled=True), ended) is None


def test_an_automation_slows_and_hands_over_to_the_way_back() -> None:
    state = report(None, T, holds=(hold(rate=1 / 60, connections=1),))
    found = looked(state, T)
    assert (found.rate, found.connections, found.until) == (1 / 60, 1, 0)
    ended = T + 30 * MINUTE
    assert looked(state, ended).rate == pytest.approx(1 / 60)
    assert looked(state, ended + 60_000).rate == pytest.approx(8 / 60)
    assert looked(state, ended + 10 * MINUTE).rate == 10
    assert looked(state, ended).connections == 1
    assert looked(state, ended + 3 * MINUTE).connections == 2


def test_a_suspension_waits_and_a_switch_of_source_does_not() -> None:
    suspended = looked(report(None, T, holds=(hold(action="suspend"),)), T)
    switched = looked(report(None, T, holds=(hold(action="switch_source"),)), T)
    assert suspended.until == switched.until == T + 30 * MINUTE
    assert (suspended.blocked, switched.blocked) == (False, True)


def test_the_same_automation_again_lasts_longer_and_counts_once() -> None:
    state = report(None, T, holds=(hold(rate=1.0),))
    state = report(state, T + 1000, holds=(hold(rate=1.0, until=T + 40 * MINUTE),))
    assert [one.until for one in state.holds] == [T + 40 * MINUTE]


def test_messages_per_connection_of_an_automation_hold_while_it_does() -> None:
    rule = hold(action="messages_per_connection", messages_per_connection=2)
    state = report(None, T, holds=(rule,))
    assert looked(state, T).messages_per_connection == 2
    assert view(state, T + 31 * MINUTE) is None


def test_the_narrower_of_site_and_provider_holds() -> None:
    site = Throttled(rate=2.0, burst=3, connections=4, gate="site")
    provider = Throttled(rate=1.0, burst=1, reach="big", gate="provider", until=T)
    both = narrower(site, provider)
    assert (both.rate, both.burst, both.reach) == (1.0, 1, "big")
    assert (both.until, both.gate, both.connections) == (T, "provider", 4)
    blocked = Throttled(until=5, blocked=True, gate="block")
    assert narrower(blocked, provider).blocked
    assert narrower(provider, Throttled(probe="p", until=0)).probe == ""


def test_a_state_survives_the_way_to_redis_and_back() -> None:
    state = report(
        None, T, slow="451 slow", crowded="421 crowd", blocked="550 b", unreachable="no",
        holds=(hold(),), counts=((T, 5),), open=3,
    )  # fmt: skip
    assert from_json(to_json(state)) == state


def test_a_state_has_an_end() -> None:
    for values in (
        {"slow": "451 slow"}, {"crowded": "421 crowd", "open": 5}, {"unreachable": "no"},
        {"blocked": "550 b", "block_at_once": True}, {"holds": (hold(),)},
    ):  # fmt: skip
        state = report(None, T, **values)
        assert throttle.FORGET_MS <= ttl_ms(state, T) <= 24 * 60 * MINUTE


def kinds(before: PathState, after: PathState | None) -> list[str]:
    return [change.kind for change in throttle_changes.changes(before, after)]


def test_people_hear_of_a_round_only_when_it_made_a_difference() -> None:
    nothing = PathState("mail-1", "mx.example", "", T)
    first = report(None, T, slow="451 slow", counts=((T - 30_000, 60),))
    assert kinds(nothing, first) == ["throttle_slowed"]
    told = throttle_changes.with_told(first, throttle_changes.changes(nothing, first))
    tried = report(told, T + 1_000, slow="451 slow")
    assert kinds(told, tried) == []
    back = report(tried, T + 4_000, counts=((T + 4_000, 1),))
    again = report(back, T + 20_000, slow="451 slow", counts=((T + 20_000, 10),))
    assert kinds(back, again) == []


def test_people_hear_of_a_long_stop_and_of_its_end() -> None:
    state = report(None, T, slow="451 slow", counts=((T - 30_000, 60),))
    heard = []
    now = T
    for _ in range(8):
        assert state.rate is not None
        now = state.rate.until
        after = report(state, now, slow="451 slow")
        heard += kinds(state, after)
        state = after
    assert heard == ["throttle_stopped"]
    assert state.rate is not None
    after = report(state, state.rate.until, counts=((state.rate.until, 1),))
    assert kinds(state, after) == ["throttle_recovered"]


def test_every_kind_of_change_has_a_meaning() -> None:
    nothing = PathState("mail-1", "mx.example", "", T)
    all_at_once = report(
        None, T, slow="a", crowded="b", open=3, blocked="c", block_at_once=True, holds=(hold(),)
    )
    found = {*kinds(nothing, all_at_once), *kinds(all_at_once, None)}
    assert found <= set(throttle_changes.KINDS)
    assert len(found) == 5
