"""Which batches travel together."""

from __future__ import annotations

from dataclasses import replace

from mta.delivery.batch import Batch
from tasks import queues
from tasks.convoys import BATCHES, RECIPIENTS, convoys


def batch(token: int, count: int, *, urgent: bool = False) -> Batch:
    return Batch(token, 1, 1, 1, "x.test", tuple(range(count)), 0, urgent=urgent)


def tokens(batches: list[Batch]) -> list[list[int]]:
    return [[one.token for one in convoy] for convoy in convoys(batches)]


def test_urgent_batches_go_first_and_by_themselves() -> None:
    mixed = [batch(1, 1), batch(2, 1, urgent=True), batch(3, 1), batch(4, 1, urgent=True)]
    assert tokens(mixed) == [[2, 4], [1, 3]]


def test_a_convoy_is_bounded_by_its_recipients() -> None:
    half = RECIPIENTS // 2
    assert tokens([batch(n, half) for n in range(5)]) == [[0, 1], [2, 3], [4]]
    assert tokens([batch(1, RECIPIENTS * 3), batch(2, 1)]) == [[1], [2]]


def test_a_convoy_is_bounded_by_its_batches() -> None:
    found = tokens([batch(n, 1) for n in range(BATCHES + 1)])
    assert [len(convoy) for convoy in found] == [BATCHES, 1]


def test_nothing_makes_no_convoy() -> None:
    assert convoys([]) == []


def test_light_batches_go_before_heavy_ones_and_apart() -> None:
    batches = [batch(1, 50), replace(batch(2, 1), light=True), batch(3, 1, urgent=True)]
    found = convoys(batches)
    assert [[one.token for one in convoy] for convoy in found] == [[3], [2], [1]]
    assert [queues.priority(convoy) for convoy in found] == [0, 3, 6]
