"""What ends one by one goes on in groups; nothing is left behind."""

from __future__ import annotations

import threading

from tasks.stages.gather import MOST_TOGETHER, Gatherer
from tests.services.processes import wait_until


def test_everything_is_worked_on_once_in_order() -> None:
    groups: list[list[int]] = []
    gatherer: Gatherer[int] = Gatherer("test", groups.append)
    gatherer.start()
    for number in range(500):
        gatherer.put(number)
    assert gatherer.flush(10)
    assert [number for group in groups for number in group] == list(range(500))
    assert max(map(len, groups)) <= MOST_TOGETHER
    assert len(groups) < 500, "nothing travelled together"


def test_an_item_alone_does_not_wait_for_company() -> None:
    groups: list[list[int]] = []
    gatherer: Gatherer[int] = Gatherer("test", groups.append)
    gatherer.start()
    gatherer.put(1)
    wait_until(lambda: groups == [[1]], 5, "the only item to go on")


def test_flush_waits_for_what_is_being_worked_on() -> None:
    release = threading.Event()

    def work(_: list[int]) -> None:
        release.wait(10)

    gatherer: Gatherer[int] = Gatherer("test", work)
    gatherer.start()
    gatherer.put(1)
    assert not gatherer.flush(0.01)
    release.set()
    assert gatherer.flush(10)
