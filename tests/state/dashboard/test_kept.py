"""Answers are kept in proportion to what they cost, and computed by one thread at a time."""

from __future__ import annotations

import threading

from dashboard.kept import ROOM, SHARE, Kept


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_an_answer_is_kept_for_at_least_the_time_asked_for() -> None:
    clock = Clock()
    kept = Kept(clock)
    answers = iter(range(9))
    for moment, expected in ((0.0, 0), (1.9, 0), (0.2, 1)):
        clock.now += moment
        assert kept.get("q", lambda: next(answers), least=2.0) == expected


def test_a_costly_answer_is_kept_in_proportion() -> None:
    clock = Clock()
    kept = Kept(clock)
    answers = iter(range(9))

    def slow() -> int:
        clock.now += 3.0
        return next(answers)

    assert kept.get("q", slow, least=2.0) == 0
    clock.now += 3.0 * SHARE - 1
    assert kept.get("q", slow, least=2.0) == 0
    clock.now += 2
    assert kept.get("q", slow, least=2.0) == 1


def test_while_one_computes_others_get_the_old_answer() -> None:
    clock = Clock()
    kept = Kept(clock)
    kept.get("q", lambda: "old", least=1.0)
    clock.now += 5
    started, go_on = threading.Event(), threading.Event()

    def slow() -> str:
        started.set()
        assert go_on.wait(10)
        return "new"

    thread = threading.Thread(target=lambda: kept.get("q", slow, least=1.0))
    thread.start()
    assert started.wait(10)
    assert kept.get("q", lambda: "twice", least=1.0) == "old"
    go_on.set()
    thread.join(10)
    assert kept.get("q", lambda: "twice", least=1.0) == "new"


def test_a_failed_answer_is_asked_for_again() -> None:
    kept = Kept(Clock())

    def broken() -> int:
        raise ValueError

    for _ in range(2):
        try:
            kept.get("q", broken, least=1.0)
        except ValueError:
            continue
        raise AssertionError("the failure was swallowed")
    assert kept.get("q", lambda: 1, least=1.0) == 1


def test_the_number_of_questions_is_bounded() -> None:
    kept = Kept(Clock())
    for n in range(ROOM + 50):
        kept.get(n, lambda: 0, least=9.0)
    assert len(kept.slots) == ROOM
