"""Rates, counters and leases on a real server."""

from __future__ import annotations

import pytest
import redis

from mta.limits.egress import LONGEST_WAIT, Bucket, Counter, Grant, Limits, Slot
from tests.services.processes import wait_until

SLOW = Bucket("slow", 0.01, 5)


def test_a_burst_is_granted_in_part_and_then_waited_for(limits: Limits) -> None:
    assert limits.take(3, buckets=[SLOW]) == Grant(3, 0.0, "")
    grant = limits.take(9, buckets=[SLOW])
    assert (grant.granted, grant.limited_by) == (2, "slow")
    assert 99 < grant.retry_in <= 100
    assert limits.take(1, buckets=[SLOW]).granted == 0


def test_nothing_is_taken_from_one_limit_when_another_refuses(limits: Limits) -> None:
    none = Counter("none", 0, 60)
    grant = limits.take(5, buckets=[SLOW], counters=[none])
    assert grant == Grant(0, LONGEST_WAIT, "none")
    assert limits.take(5, buckets=[SLOW]).granted == 5


def test_the_tightest_limit_decides(limits: Limits) -> None:
    wide, day = Bucket("wide", 100, 50), Counter("day", 7, 60)
    grant = limits.take(20, buckets=[wide, SLOW], counters=[day])
    assert (grant.granted, grant.limited_by) == (5, "slow")
    assert limits.used([day, Counter("other", 1, 1)]) == [5, 0]
    grant = limits.take(20, buckets=[wide], counters=[day])
    assert (grant.granted, grant.limited_by) == (2, "day")
    assert 0 < grant.retry_in <= 60


def test_a_rate_comes_back(limits: Limits) -> None:
    fast = Bucket("fast", 1000, 10)
    assert limits.take(10, buckets=[fast]).granted == 10
    assert wait_until(lambda: limits.take(10, buckets=[fast]).granted, 5, "a token") > 0


def test_what_is_given_back_can_be_taken_again_and_no_more(limits: Limits) -> None:
    day = Counter("day", 5, 60)
    limits.take(5, buckets=[SLOW], counters=[day])
    limits.give_back(2, buckets=[SLOW], counters=[day])
    assert limits.used([day]) == [3]
    assert limits.take(9, buckets=[SLOW], counters=[day]).granted == 2
    limits.give_back(100, buckets=[SLOW], counters=[day])
    assert limits.used([day]) == [0]
    assert limits.take(9, buckets=[SLOW]).granted == 5
    limits.give_back(0, buckets=[SLOW])
    assert limits.take(9, buckets=[SLOW]).granted == 0


def test_a_lowered_limit_does_not_lock_for_long(limits: Limits) -> None:
    limits.take(1000, buckets=[Bucket("b", 0.01, 1000)])
    grant = limits.take(1, buckets=[Bucket("b", 1, 10)])
    assert grant.granted == 0
    assert grant.retry_in <= 1


def test_keys_end_by_themselves(limits: Limits, client: redis.Redis, prefix: str) -> None:
    limits.take(2, buckets=[SLOW], counters=[Counter("day", 5, 60)])
    limits.acquire([Slot("conn", 1, "a", 30)])
    assert 199_000 < int(client.pttl(f"{prefix}slow")) <= 200_001
    assert 59_000 < int(client.pttl(f"{prefix}day")) <= 60_000
    assert 29_000 < int(client.pttl(f"{prefix}conn")) <= 30_001


def test_a_counter_keeps_the_end_of_its_first_unit(limits: Limits, client, prefix: str) -> None:
    limits.take(1, counters=[Counter("day", 5, 60)])
    limits.take(1, counters=[Counter("day", 5, 6000)])
    assert int(client.pttl(f"{prefix}day")) <= 60_000


def test_wishes_without_limits_or_for_nothing(limits: Limits) -> None:
    assert limits.take(7) == Grant(7, 0.0, "")
    assert limits.take(0, buckets=[SLOW]) == Grant(0, 0.0, "")
    assert limits.take(-3, buckets=[SLOW]) == Grant(0, 0.0, "")
    assert limits.acquire([]) == ""
    assert limits.used([]) == []
    assert limits.renew([]) == []


def test_a_limit_named_twice_is_a_bug(limits: Limits) -> None:
    with pytest.raises(ValueError, match="named twice"):
        limits.take(1, buckets=[SLOW, SLOW])


@pytest.mark.parametrize(
    "make",
    [
        lambda: Bucket("b", 0, 1),
        lambda: Bucket("b", float("nan"), 1),
        lambda: Bucket("b", 1, 0),
        lambda: Counter("c", -1, 1),
        lambda: Counter("c", 1, 0),
        lambda: Slot("s", 1, "h", 0),
    ],
)
def test_nonsense_is_refused(make) -> None:
    with pytest.raises(ValueError, match=r"bucket|counter|slot"):
        make()


def test_leases_are_all_or_nothing(limits: Limits) -> None:
    assert limits.acquire([Slot("wide", 5, "a", 30), Slot("tight", 1, "a", 30)]) == ""
    assert limits.acquire([Slot("wide", 5, "b", 30), Slot("tight", 1, "b", 30)]) == "tight"
    assert (limits.held("wide"), limits.held("tight")) == (1, 1)
    limits.release([Slot("tight", 1, "a", 30), Slot("tight", 1, "nobody", 30)])
    assert limits.acquire([Slot("wide", 5, "b", 30), Slot("tight", 1, "b", 30)]) == ""


def test_groups_are_decided_one_after_the_other(limits: Limits) -> None:
    groups = [
        [Slot("all", 9, "a", 30), Slot("x", 1, "a", 30)],
        [Slot("all", 9, "b", 30), Slot("x", 1, "b", 30)],
        [],
        [Slot("all", 9, "c", 30), Slot("y", 1, "c", 30)],
    ]
    assert limits.acquire_each(groups) == ["", "x", "", ""]
    assert (limits.held("all"), limits.held("x"), limits.held("y")) == (2, 1, 1)
    assert limits.acquire_each([]) == []


def test_two_holders_in_one_call_count_twice(limits: Limits) -> None:
    assert limits.acquire([Slot("s", 1, "a", 30), Slot("s", 1, "b", 30)]) == "s"
    assert limits.held("s") == 0


def test_the_same_holder_renews(limits: Limits, client: redis.Redis, prefix: str) -> None:
    assert limits.acquire([Slot("s", 1, "a", 1)]) == ""
    assert limits.acquire([Slot("s", 1, "a", 100)]) == ""
    assert limits.held("s") == 1
    assert int(client.pttl(f"{prefix}s")) > 99_000


def test_a_lease_ends_by_itself(limits: Limits) -> None:
    assert limits.acquire([Slot("s", 1, "killed", 0.05), Slot("keep", 9, "x", 60)]) == ""
    wait_until(lambda: limits.acquire([Slot("s", 1, "next", 30)]) == "", 5, "the lease to end")
    assert limits.renew([Slot("s", 1, "killed", 30), Slot("keep", 9, "x", 60)]) == ["s"]


def test_renewing_takes_an_ended_lease_again_when_there_is_room(limits: Limits) -> None:
    assert limits.renew([Slot("s", 1, "a", 30)]) == []
    assert limits.held("s") == 1


def test_scripts_survive_a_flushed_server(limits: Limits, client: redis.Redis) -> None:
    limits.take(1, buckets=[SLOW])
    client.script_flush()
    assert limits.take(9, buckets=[SLOW]).granted == 4
