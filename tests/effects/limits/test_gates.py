"""Gates: dispatch's copies of buckets, on a real Redis."""

from __future__ import annotations

import pytest

from mta.limits.egress import Bucket, Limits
from mta.spool.due import DueLane
from mta.spool.waiting import SEPARATOR
from tasks.gates import Gates
from tasks.turns import Turns


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gates(limits: Limits, clock: Clock) -> Gates:
    return Gates(limits, clock, lead=0.0)


def test_what_nobody_takes_from_holds_nobody(gates: Gates) -> None:
    gates.look(["rate:a:x"])
    assert gates.get("rate:a:x") is None
    assert gates.get("") is None


def test_a_copy_admits_what_the_bucket_has_and_no_faster(
    gates: Gates, limits: Limits, clock: Clock
) -> None:
    bucket = Bucket("rate:a:x", 10.0, 20)
    assert limits.take(15, buckets=[bucket]).granted == 15
    gates.look([bucket.key])
    gate = gates.get(bucket.key)
    assert gate is not None
    assert (gate.free(clock.now), gate.quantum) == (5, 2)
    gate.take(5, clock.now)
    assert gate.free(clock.now) == 0
    assert gate.wait(1, clock.now) == pytest.approx(0.1, abs=0.06)
    clock.now += 1.0
    assert gate.free(clock.now) in {9, 10}
    gate.take(-3, clock.now)
    assert gate.free(clock.now) in {12, 13}


def test_a_look_never_makes_a_copy_fuller(gates: Gates, limits: Limits, clock: Clock) -> None:
    bucket = Bucket("rate:a:x", 1.0, 4)
    limits.take(1, buckets=[bucket])
    gates.look([bucket.key])
    gate = gates.get(bucket.key)
    assert gate is not None
    gate.take(3, clock.now)
    clock.now += 0.3
    gates.look([bucket.key])
    assert gate.free(clock.now) == 0, "what was admitted and is not taken yet still counts"
    assert limits.take(3, buckets=[bucket]).granted == 3
    clock.now += 0.3
    gates.look([bucket.key])
    assert gate.free(clock.now) == 0


def test_a_changed_rate_is_seen(gates: Gates, limits: Limits, clock: Clock) -> None:
    limits.take(2, buckets=[Bucket("rate:a:x", 1.0, 2)])
    gates.look(["rate:a:x"])
    limits.take(1, buckets=[Bucket("rate:a:x", 100.0, 50)])
    clock.now += 0.3
    gates.look(["rate:a:x"])
    gate = gates.get("rate:a:x")
    assert gate is not None
    assert gate.interval == pytest.approx(0.01)
    assert gate.quantum == 25


def test_several_limits_count_together(gates: Gates, limits: Limits, clock: Clock) -> None:
    for name, per_second, burst in (("a", 1.0, 3), ("b", 3.0, 6)):
        limits.take(1, buckets=[Bucket(f"rate:{name}:x", per_second, burst)])
    joint = f"rate:a:x{SEPARATOR}rate:b:x{SEPARATOR}throttle:c:x"
    gates.look([joint])
    gate = gates.get(joint)
    assert gate is not None
    assert gate.free(clock.now) == 2 + 5
    assert gate.interval == pytest.approx(0.25, rel=1e-3)
    gate.take(6, clock.now)
    assert gate.free(clock.now) == 1
    gate.take(3, clock.now)
    assert gate.free(clock.now) == 0
    assert gate.wait(1, clock.now) <= 1.0


def test_who_wakes_late_is_not_late_each_time(limits: Limits, clock: Clock) -> None:
    limits.take(1, buckets=[Bucket("rate:a:x", 2.0, 1)])
    gates = Gates(limits, clock, lead=0.15)
    gates.look(["rate:a:x"])
    gate = gates.get("rate:a:x")
    assert gate is not None
    began = clock.now
    for _ in range(10):
        clock.now += gate.wait(1, clock.now) + 0.05
        assert gate.free(clock.now) == 1
        gate.take(1, clock.now)
    assert clock.now - began == pytest.approx(5.0 - 0.15 + 0.05, abs=0.06)


def test_lanes_of_one_tenant_behind_one_limit_are_served_in_turn(
    gates: Gates, limits: Limits, clock: Clock
) -> None:
    limits.take(2, buckets=[Bucket("rate:a:@big", 1.0, 2)])
    turns = Turns(gates)
    lanes = [
        DueLane(number, 1, 1, f"{number}.test", "x", 2, 100, 0, "rate:a:@big", number)
        for number in (1, 2, 3)
    ]
    served = []
    gates.look(["rate:a:@big"])
    gates.known["rate:a:@big"].looked_at = float("inf")  # Redis has a clock of its own
    for _ in range(8):
        clock.now += 1.0
        free, behind = turns.sort({1: lanes})
        assert free == {}
        offers, waits = turns.admitted(behind, {1: 1})
        assert len(waits) == 3 - len(offers)
        served += [offer.lane.id for offer in offers]
    assert sorted(served[:3]) == [1, 2, 3], "each is as old as the others"
    assert sorted(served[3:6]) == [1, 2, 3]
