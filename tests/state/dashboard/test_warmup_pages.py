"""The warmup page, a person's orders, and the simulator's page."""

from __future__ import annotations

import html
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from mta.egress.models import Pool, PoolMember, Source, WarmupSchedule, WarmupState
from mta.events.models import Decision
from tests.cast import Cast
from tests.state.egress.warming import day, state, warming_source


def seen(client: Client, path: str = "/warmup/", **query: Any) -> str:
    answer = client.get(path, query)
    assert answer.status_code == 200
    return html.unescape(answer.content.decode())


def warming(**values: Any) -> WarmupState:
    source = warming_source(started=timezone.now().date() - timedelta(days=9))
    today = timezone.now().date()
    day(source, today - timedelta(days=1), cap=100, attempted=90, delivered=80, deferred=7,
        blocked=3, complaints=1)  # fmt: skip
    return state(source, **{"stage": 2, "stage_started_on": today, "reason": "80 of 100", **values})


def test_a_row_tells_stage_cap_figures_and_reason(db: None, as_operator: Client) -> None:
    warming()
    page = seen(as_operator)
    for words in (
        "cold-plan", "google", "2 of 3", "of 100", "80 of 100", "90 tried",
        "7 deferred, 3 blocked, 1 complaint",
    ):  # fmt: skip
        assert words in page


def test_nothing_warms_up(db: None, as_operator: Client) -> None:
    assert "Nothing is warming up" in seen(as_operator)
    assert "No warmup fits" in seen(as_operator, q="nothing")


def test_search_status_and_pages(db: None, as_operator: Client) -> None:
    made = warming(status="held")
    for number in range(60):
        state(made.source, f"mx{number:02}.site.test")
    assert "google" in seen(as_operator, status="held")
    assert "mx01.site.test" not in seen(as_operator, status="held")
    assert "mx59.site.test" not in seen(as_operator)
    assert "mx59.site.test" in seen(as_operator, page=2)
    assert "mx42.site.test" in seen(as_operator, q="mx42")


def test_a_source_whose_first_day_is_to_come(db: None, as_operator: Client) -> None:
    made = warming()
    first = timezone.now().date() + timedelta(days=3)
    Source.objects.filter(pk=made.source_id).update(warmup_started_on=first)
    assert f"starts on {first}" in seen(as_operator)


def test_the_number_of_queries_does_not_grow(
    db: None, as_operator: Client, django_assert_max_num_queries: Any
) -> None:
    made = warming()
    for number in range(40):
        state(made.source, f"mx{number}.test", stage=1)
    with django_assert_max_num_queries(14):
        seen(as_operator)


def test_an_operator_orders_with_a_reason(db: None, as_operator: Client) -> None:
    made = warming()
    given = {"state": made.pk, "order": "advance", "reason": "they know us"}
    answer = as_operator.post("/warmup/?q=goo", given, follow=True)
    assert answer.redirect_chain[0][0] == "/warmup/?q=goo"
    assert "cold to google is warming at stage 3." in answer.content.decode()
    made.refresh_from_db()
    assert made.stage == 3
    told = Decision.objects.get()
    assert (told.kind, told.reason, told.provider) == ("warmup_advance", "they know us", "google")
    assert told.actor == "olga"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"reason": ""}, "say why"),
        ({"order": "burn"}, "is none of hold"),
        ({"state": "x"}, "this warmup is over"),
        ({"order": "resume"}, "google is not held"),
    ],
)
def test_an_order_that_does_not_fit_changes_nothing(
    db: None, as_operator: Client, values: dict[str, str], words: str
) -> None:
    made = warming()
    given = {"state": str(made.pk), "order": "hold", "reason": "why", **values}
    page = html.unescape(as_operator.post("/warmup/", given, follow=True).content.decode())
    assert "Nothing was changed" in page
    assert words in page
    assert Decision.objects.count() == 0


def test_a_marketer_sees_the_own_pools_and_orders_nothing(
    acme: Cast, globex: Cast, as_marketer: Client
) -> None:
    made = warming()
    Pool.objects.filter(name="cold").update(tenant=globex.tenant)
    assert "google" not in seen(as_marketer)
    PoolMember.objects.create(pool=acme.bulk.pool, source=made.source)
    page = seen(as_marketer)
    assert "google" in page
    assert 'name="order"' not in page
    given = {"state": made.pk, "order": "hold", "reason": "why"}
    assert as_marketer.post("/warmup/", given).status_code == 403


def test_a_stranger_goes_to_the_login(db: None, client: Client) -> None:
    for path in ("/warmup/", "/warmup/simulate/"):
        assert client.get(path).status_code == 302


PLAN = {
    "schedule": "own", "stages": "50 100 200", "campaign": 300, "providers": "google=1",
    "sources": 1, "spread": 0, "arrival": 12, "delivered": 1, "deferred": 0, "blocked": 0,
    "days": 0,
}  # fmt: skip


def test_the_simulator_plays_a_plan(db: None, as_operator: Client) -> None:
    page = seen(as_operator, "/warmup/simulate/", **PLAN)
    assert "The campaign ends on day <b>3</b>" in page
    assert '"data": [50, 100, 150]' in page
    assert "advance: 50 of 50 delivered" in page


def test_the_simulator_begins_with_an_example_and_knows_the_schedules(
    db: None, as_operator: Client
) -> None:
    warming_source()
    page = seen(as_operator, "/warmup/simulate/")
    assert "cold-plan" in page
    assert 'class="chart"' in page
    row = WarmupSchedule.objects.get(name="cold-plan")
    page = seen(as_operator, "/warmup/simulate/", **{**PLAN, "schedule": f"row:{row.pk}"})
    assert "The campaign ends on day <b>3</b>" in page


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"stages": "5 4"}, "Stage 2 falls from 5 to 4"),
        ({"campaign": ""}, "Give messages a day, or a campaign."),
        ({"providers": "google"}, "'google' is no share"),
        ({"delivered": 0.9, "deferred": 0.5}, "Shares are 0 to 1"),
        ({"sources": 0}, "greater than or equal to 1"),
        ({"schedule": "row:x"}, "not one of the available choices"),
    ],
)
def test_a_plan_that_cannot_be_played(
    db: None, as_operator: Client, values: dict[str, Any], words: str
) -> None:
    page = seen(as_operator, "/warmup/simulate/", **{**PLAN, **values})
    assert words in page
    assert 'class="chart"' not in page


def test_the_list_of_sources_leads_here(db: None, as_operator: Client) -> None:
    made = warming()
    page = seen(as_operator, "/admin/egress/source/")
    assert 'href="/warmup/?q=cold"' in page
    first = timezone.now().date() + timedelta(days=3)
    Source.objects.filter(pk=made.source_id).update(warmup_started_on=first)
    assert str(first) in seen(as_operator, "/admin/egress/source/")
