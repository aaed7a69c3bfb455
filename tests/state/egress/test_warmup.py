"""What a warming source may send, and the count of what it did."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from mta.egress import sources
from mta.egress.models import Source, WarmupDay, WarmupState
from mta.egress.warmup import Allowance, DayCount, allowance, complained, count, is_warming
from tests.state.egress.warming import TODAY, facts, state, warming_source

pytestmark = pytest.mark.django_db


def given(source: Source, reach: str = "google", today: date = TODAY) -> Allowance | None:
    return allowance(facts(source), reach, today)


def test_without_a_state_it_stands_at_stage_1() -> None:
    found = given(warming_source())
    assert found == Allowance(1, "2026-03-20", 50, 50 / (12 * 3600), 4, "warming", "")


def test_without_spread_there_is_no_rate() -> None:
    found = given(warming_source(spread_hours=0))
    assert found is not None
    assert (found.per_second, found.burst, found.cap) == (0.0, 50, 50)


def test_before_the_first_day_nothing_goes() -> None:
    source = warming_source(started=TODAY + timedelta(days=1))
    found = given(source)
    assert found is not None
    assert (found.stage, found.cap, found.reason) == (0, 0, "starts on 2026-03-21")
    later = given(source, today=TODAY + timedelta(days=1))
    assert later is not None
    assert later.cap == 50


def test_each_reach_has_a_stage_of_its_own() -> None:
    source = warming_source()
    state(source, "google", stage=2, reason="50 of 50 delivered")
    state(source, "yahoo", stage=3, status="warm")
    state(source, "mx.site.test", stage=3, status="held")
    state(source, "orange", stage=9)
    found = {r: given(source, r) for r in ("google", "mx.site.test", "gmx", "orange")}
    caps = {reach: one.cap for reach, one in found.items() if one}
    # Beyond the last stage, for the schedule was made shorter: the last one until it is decided.
    assert caps == {"google": 100, "mx.site.test": 200, "gmx": 50, "orange": 200}
    assert given(source, "yahoo") is None
    assert found["google"] is not None
    assert found["google"].reason == "50 of 50 delivered"


def test_a_source_without_schedule_is_warm() -> None:
    source = warming_source()
    assert is_warming(source.pk)
    Source.objects.update(warmup_schedule=None)
    assert given(source) is None
    assert not is_warming(source.pk)
    count([])
    assert WarmupDay.objects.count() == 0


def test_counts_add_up_and_make_the_state() -> None:
    source = warming_source()
    rows = [
        DayCount(source.pk, "google", TODAY, 10, 8, 2, 1),
        DayCount(source.pk, "google", TODAY, 1, 1),
        DayCount(source.pk, "yahoo", TODAY, 3, 0, 3, 0),
        DayCount(source.pk, "gmx", TODAY),
    ]
    count(rows)
    count(rows[:1])
    days = WarmupDay.objects.order_by("reach").values_list(
        "reach", "cap", "attempted", "delivered", "deferred", "blocked", "complaints"
    )
    assert list(days) == [("google", 50, 21, 17, 4, 2, 0), ("yahoo", 50, 3, 0, 3, 0, 0)]
    states = WarmupState.objects.order_by("reach").values_list(
        "reach", "stage", "status", "last_sent_on", "stage_started_on"
    )
    assert list(states) == [
        ("google", 1, "warming", TODAY, TODAY),
        ("yahoo", 1, "warming", TODAY, TODAY),
    ]


def test_last_sent_on_only_moves_on() -> None:
    source = warming_source()
    made = state(source, stage=2, last_sent_on=TODAY)
    count([DayCount(source.pk, "google", TODAY - timedelta(days=1), 1, 1)])
    made.refresh_from_db()
    assert (made.last_sent_on, made.stage) == (TODAY, 2)
    count([DayCount(source.pk, "google", TODAY + timedelta(days=1), 1, 1)])
    made.refresh_from_db()
    assert made.last_sent_on == TODAY + timedelta(days=1)


def test_a_warm_reach_is_counted_once_a_day() -> None:
    source = warming_source()
    state(source, status="warm", stage=3, last_sent_on=TODAY - timedelta(days=1))
    for _ in range(3):
        count([DayCount(source.pk, "google", TODAY, 5, 5)])
        sources.forget()
    assert WarmupDay.objects.get().attempted == 5
    assert WarmupState.objects.get().last_sent_on == TODAY


def test_a_complaint_is_counted_on_its_day() -> None:
    source = warming_source()
    complained(source.pk, "google", TODAY)
    count([DayCount(source.pk, "google", TODAY, 2, 2)])
    complained(source.pk, "google", TODAY)
    found = WarmupDay.objects.get()
    assert (found.complaints, found.delivered, found.cap) == (2, 2, 50)


def test_what_is_at_stage_1_is_not_carried_around() -> None:
    source = warming_source()
    state(source, "mx.small.test")
    state(source, "google", stage=2)
    assert list(sources.snapshot().warmups) == [(source.pk, "google")]
