"""The end of a day: what is decided, once, and what is written of it."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from django.db import connection
from django.utils import timezone

from mta.control import warmup as orders
from mta.control.refusal import Refused
from mta.delivery import warmup_days
from mta.delivery.warmup_days import decide_all
from mta.egress.models import Source, WarmupDay, WarmupState
from mta.egress.warmup import allowance
from mta.events.models import Decision
from tasks import upkeep
from tasks.app import app
from tests.state.egress.warming import TODAY, day, facts, state, warming_source

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 20, 0, 10, tzinfo=UTC)
YESTERDAY = TODAY - timedelta(days=1)
GOOD: dict[str, Any] = {"cap": 50, "attempted": 50, "delivered": 50}


def told() -> list[tuple[str, str, str]]:
    return list(Decision.objects.order_by("pk").values_list("kind", "provider", "reason"))


def now_at(one: WarmupState) -> tuple[int, str, Any]:
    one.refresh_from_db()
    return one.stage, one.status, one.stage_started_on


def test_a_good_day_advances_once() -> None:
    source = warming_source()
    made = state(source, stage_started_on=YESTERDAY, last_sent_on=YESTERDAY)
    day(source, YESTERDAY, **GOOD)
    assert decide_all(NOW) == 1
    assert decide_all(NOW + timedelta(minutes=5)) == 0
    assert now_at(made) == (2, "warming", TODAY)
    assert told() == [("warmup_advance", "google", "50 of 50 delivered")]
    row = Decision.objects.get()
    assert (row.actor, row.source, row.site) == ("warmup", "cold", "")
    data = orjson.loads(row.data)
    assert (data["stage_before"], data["stage"], data["figures"]["delivered"]) == (1, 2, 50)
    found = allowance(facts(source), "google", TODAY)
    assert found is not None
    assert (found.cap, found.reason) == (100, "50 of 50 delivered")


def test_the_day_is_left_alone_until_its_last_replies_are_settled() -> None:
    source = warming_source()
    state(source, stage_started_on=YESTERDAY)
    assert decide_all(NOW.replace(minute=4)) == 0
    assert decide_all(NOW.replace(minute=5)) == 1


def test_a_bad_day_at_a_site_steps_back() -> None:
    source = warming_source()
    made = state(source, "mx.site.test", stage=3, stage_started_on=YESTERDAY)
    day(source, YESTERDAY, "mx.site.test", cap=200, attempted=100, delivered=90, blocked=10)
    decide_all(NOW)
    assert now_at(made)[:2] == (2, "warming")
    row = Decision.objects.get()
    assert (row.kind, row.site, row.provider) == ("warmup_step_back", "mx.site.test", "")


def test_days_that_nobody_decided_are_decided_in_order() -> None:
    source = warming_source()
    made = state(source, stage_started_on=TODAY - timedelta(days=3))
    day(source, TODAY - timedelta(days=3), **GOOD)
    day(source, TODAY - timedelta(days=2), cap=100, attempted=95, delivered=95)
    decide_all(NOW)
    assert now_at(made) == (3, "warming", YESTERDAY)
    assert [kind for kind, *_ in told()] == ["warmup_advance", "warmup_advance"]
    assert made.reason == "nothing was sent"


def test_the_last_stage_makes_it_warm_and_rest_makes_it_cold() -> None:
    source = warming_source(stages=[50])
    made = state(source, stage_started_on=YESTERDAY, last_sent_on=YESTERDAY)
    day(source, YESTERDAY, **GOOD)
    decide_all(NOW)
    assert now_at(made)[:2] == (1, "warm")
    assert allowance(facts(source), "google", TODAY) is None
    decide_all(NOW + timedelta(days=29))
    assert now_at(made)[:2] == (1, "warm")
    decide_all(NOW + timedelta(days=30))
    assert now_at(made)[:2] == (1, "warming")
    assert [kind for kind, *_ in told()] == ["warmup_done", "warmup_restart"]
    assert told()[1][2] == "nothing was sent for 30 days"


def test_a_site_that_rests_at_stage_1_is_forgotten() -> None:
    source = warming_source()
    state(source, stage_started_on=TODAY, last_sent_on=TODAY)
    decide_all(NOW + timedelta(days=30))
    assert WarmupState.objects.count() == 1
    decide_all(NOW + timedelta(days=31))
    assert WarmupState.objects.count() == 0
    assert told() == []


def test_a_state_of_an_earlier_warmup_begins_anew() -> None:
    source = warming_source()
    made = state(source, stage=3, status="warm", last_sent_on=YESTERDAY)
    Source.objects.update(warmup_started_on=TODAY + timedelta(days=2))
    found = allowance(facts(source), "google", TODAY + timedelta(days=2))
    assert found is not None
    assert found.stage == 1
    decide_all(NOW + timedelta(days=3))
    assert now_at(made)[:2] == (1, "warming")


def test_many_pages_are_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warmup_days, "PAGE", 2)
    source = warming_source()
    for number in range(5):
        state(source, f"mx{number}.test", stage_started_on=YESTERDAY)
        day(source, YESTERDAY, f"mx{number}.test", **GOOD)
    assert decide_all(NOW) == 5
    assert set(WarmupState.objects.values_list("stage", flat=True)) == {2}


def test_old_figures_are_removed() -> None:
    source = warming_source()
    state(source, stage_started_on=YESTERDAY)
    day(source, TODAY - timedelta(days=91), **GOOD)
    day(source, YESTERDAY, **GOOD)
    decide_all(NOW)
    assert WarmupDay.objects.get().day == YESTERDAY


@pytest.mark.django_db(transaction=True)
def test_several_runners_decide_a_day_once() -> None:
    source = warming_source()
    for number in range(6):
        state(source, f"mx{number}.test", stage_started_on=YESTERDAY)
        day(source, YESTERDAY, f"mx{number}.test", **GOOD)
    start = threading.Barrier(4)
    errors: list[Exception] = []

    def run() -> None:
        try:
            start.wait(10)
            decide_all(NOW)
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    runners = [threading.Thread(target=run) for _ in range(4)]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join()
    assert errors == []
    assert set(WarmupState.objects.values_list("stage", flat=True)) == {2}
    assert Decision.objects.count() == 6


def test_a_person_holds_it_until_a_person_moves_it() -> None:
    source = warming_source()
    made = state(source, stage=2, stage_started_on=YESTERDAY)
    day(source, YESTERDAY, cap=100, attempted=100, delivered=100)
    orders.order(made.pk, "hold", by="olga", reason="a  new campaign", now=NOW)
    decide_all(NOW)
    assert now_at(made)[:2] == (2, "held")
    assert [row.actor for row in Decision.objects.all()] == ["olga"]
    assert Decision.objects.get().reason == "a new campaign"
    orders.order(made.pk, "resume", by="olga", reason="it is over", now=NOW)
    assert now_at(made)[:2] == (2, "warming")
    assert made.reason == "olga: it is over"


@pytest.mark.parametrize(
    ("what", "stage", "status", "after", "kind"),
    [
        ("advance", 1, "warming", (2, "warming"), "warmup_advance"),
        ("advance", 3, "held", (3, "warm"), "warmup_done"),
        ("step_back", 3, "held", (2, "warming"), "warmup_step_back"),
        ("step_back", 3, "warm", (3, "warming"), "warmup_step_back"),
        ("restart", 3, "warm", (1, "warming"), "warmup_restart"),
        ("hold", 3, "warming", (3, "held"), "warmup_hold"),
    ],
)
def test_orders(what: str, stage: int, status: str, after: tuple[int, str], kind: str) -> None:
    made = state(warming_source(), stage=stage, status=status)
    orders.order(made.pk, what, by="olga", reason="I say so", now=NOW)
    assert now_at(made)[:2] == after
    assert told() == [(kind, "google", "I say so")]


@pytest.mark.parametrize(
    ("what", "status", "reason", "problem"),
    [
        ("explode", "warming", "why", "'explode' is none of hold, resume"),
        ("hold", "warming", " ", "say why"),
        ("advance", "warm", "why", "google is warm"),
        ("resume", "warming", "why", "google is not held"),
        ("step_back", "warming", "why", "google is at the first stage"),
    ],
)
def test_orders_that_are_refused(what: str, status: str, reason: str, problem: str) -> None:
    made = state(warming_source(), status=status)
    with pytest.raises(Refused, match=problem):
        orders.order(made.pk, what, by="olga", reason=reason, now=NOW)
    assert told() == []


def test_an_order_to_what_is_gone_is_refused() -> None:
    with pytest.raises(Refused, match="this warmup is over"):
        orders.order(999, "hold", by="olga", reason="why", now=NOW)


@pytest.mark.django_db(transaction=True)
def test_upkeep_decides_by_itself() -> None:
    source = warming_source(started=timezone.now().date() - timedelta(days=3))
    over = timezone.now().date() - timedelta(days=2)
    made = state(source, stage_started_on=over, last_sent_on=over)
    day(source, over, **GOOD)
    upkeep.warm()
    upkeep.BESIDE.submit(lambda: None).result(20)
    assert now_at(made)[:2] == (2, "warming")
    assert "upkeep.warm" in {entry["task"] for entry in app.conf.beat_schedule.values()}
