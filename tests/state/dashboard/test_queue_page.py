"""The queue page tells what waits, since when and why, in a bounded number of queries."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dashboard import queries, queue_rows
from dashboard.kept import kept
from dashboard.queries import Count
from dashboard.queue_lanes import lane_rows
from dashboard.queue_rows import queue_page
from mta.egress.models import Suspension
from mta.spool.ids import EPOCH_MS, RANDOM_BITS
from mta.storage.fields import now_ms
from tests.cast import Cast
from tests.state.dashboard import scene


def aged_id(seconds: int, place: int = 0) -> int:
    return ((now_ms() - seconds * 1000 - EPOCH_MS) << RANDOM_BITS) + place


def test_a_row_tells_what_waits_and_why(acme: Cast) -> None:
    lane = scene.lane(
        acme.bulk, "x.test", site="mx.x.test", last_reply="451 4.7.1 later",
        last_reply_at=timezone.now(), hold_reason="5 of 5 connections in use",
        due_at=timezone.now() + timedelta(minutes=5),
    )  # fmt: skip
    of = scene.message(acme.bulk)
    scene.recipient(of, "old@x.test", "deferred", id=aged_id(3600))
    scene.recipient(of, "new@x.test")
    scene.recipient(of, "flying@x.test", "claimed")
    scene.recipient(of, "done@x.test", "delivered")
    (row,) = queue_page(None).rows
    assert (row.domain, row.site, row.lanes) == ("x.test", "mx.x.test", 1)
    assert (row.waiting, row.in_flight) == (Count(2), 1)
    assert row.oldest_at is not None
    assert abs((timezone.now() - row.oldest_at).total_seconds() - 3600) < 5
    assert row.last_reply == "451 4.7.1 later"
    assert row.hold_reason == "5 of 5 connections in use"
    assert row.next_at is not None
    assert lane.due_at is not None
    assert abs((row.next_at - lane.due_at).total_seconds()) < 0.002  # kept in milliseconds


def test_a_domain_sums_up_its_lanes(acme: Cast, globex: Cast) -> None:
    now = timezone.now()
    scene.lane(acme.bulk, "x.test", last_reply="old", last_reply_at=now - timedelta(hours=1))
    scene.lane(globex.bulk, "x.test", last_reply="new", last_reply_at=now, site="mx.x.test")
    for cast in (acme, globex):
        scene.recipient(scene.message(cast.bulk), "a@x.test")
    (row,) = queue_page(None).rows
    assert (row.lanes, row.waiting, row.last_reply) == (2, Count(2), "new")
    (mine,) = queue_page([acme.tenant.pk]).rows
    assert (mine.lanes, mine.waiting, mine.last_reply) == (1, Count(1), "old")
    assert queue_page([]).rows == ()


def test_what_is_only_in_flight_is_listed_and_what_is_done_is_not(acme: Cast) -> None:
    of = scene.message(acme.bulk)
    for domain in ("flying.test", "done.test"):
        scene.lane(acme.bulk, domain, due_at=None)
    scene.recipient(of, "a@flying.test", "claimed")
    scene.recipient(of, "a@done.test", "delivered")
    page = queue_page(None)
    assert [row.domain for row in page.rows] == ["flying.test"]
    assert page.survey.in_flight == 1
    found = queue_page(None, search="done")
    assert [row.domain for row in found.rows] == ["done.test"]


@pytest.mark.parametrize(
    ("order", "descending", "expected"),
    [
        ("waiting", True, ["b.test", "a.test", "c.test"]),
        ("waiting", False, ["c.test", "a.test", "b.test"]),
        ("oldest", True, ["c.test", "a.test", "b.test"]),
        ("oldest", False, ["b.test", "a.test", "c.test"]),
        ("domain", False, ["a.test", "b.test", "c.test"]),
        ("domain", True, ["c.test", "b.test", "a.test"]),
        ("flight", True, ["a.test", "b.test", "c.test"]),
        ("next", False, ["b.test", "c.test", "a.test"]),
        ("reply", True, ["c.test", "b.test", "a.test"]),
    ],
)
def test_every_column_sorts(order: str, descending: bool, expected: list[str], acme: Cast) -> None:
    now = timezone.now()
    of = scene.message(acme.bulk)
    plan = {"a.test": (2, 200, 30, 2), "b.test": (3, 100, 10, 1), "c.test": (1, 300, 20, None)}
    for domain, (waiting, age, due, replied) in plan.items():
        scene.lane(
            acme.bulk, domain, due_at=now + timedelta(minutes=due),
            last_reply_at=now - timedelta(hours=replied) if replied else now,
        )  # fmt: skip
        for n in range(waiting):
            scene.recipient(of, f"r{n}@{domain}", id=aged_id(age, n))
    scene.recipient(of, "f@a.test", "claimed")
    rows = queue_page(None, order=order, descending=descending).rows
    assert [row.domain for row in rows] == expected


def test_pages_follow_one_another(acme: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_rows, "PER_PAGE", 2)
    of = scene.message(acme.bulk)
    for n in range(5):
        scene.recipient(of, f"a@d{n}.test")
    for order in ("domain", "waiting"):
        seen: list[str] = []
        for number in (1, 2, 3):
            page = queue_page(None, order=order, descending=False, number=number)
            assert page.has_next is (number < 3)
            seen += [row.domain for row in page.rows]
        assert sorted(seen) == [f"d{n}.test" for n in range(5)], order
    assert queue_page(None, order="domain", descending=False, number=9).rows == ()


def test_counting_stops_at_the_cap_and_the_survey_tells_the_rest(
    acme: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_rows, "CAP", 3)
    monkeypatch.setattr("dashboard.queue_lanes.CAP", 3)
    of = scene.message(acme.bulk)
    for n in range(5):
        scene.recipient(of, f"a{n}@x.test")
    assert queue_page(None).rows[0].waiting == Count(5)
    assert str(lane_rows("x.test", None)[0].waiting) == "3+"
    for n in range(5, 7):
        scene.recipient(of, f"a{n}@x.test")
    # The survey is kept for a while; the row says at least what it knows.
    assert queue_page(None).rows[0].waiting == Count(5)
    kept.forget()
    assert queue_page(None).rows[0].waiting == Count(7)


def test_the_page_costs_the_same_for_two_and_forty_domains(acme: Cast, as_operator: Client) -> None:
    costs = []
    of = scene.message(acme.bulk)
    for count in (2, 40):
        for n in range(count):
            scene.recipient(of, f"a{n}@{count}-{n}.test")
        kept.forget()
        with CaptureQueriesContext(connection) as captured:
            text = as_operator.get("/queues/").content.decode()
        assert text.count("data-waiting") == (2 if count == 2 else 42)
        costs.append(len(captured))
    assert costs[0] == costs[1]


def test_counting_waiting_reads_the_partial_index(acme: Cast) -> None:
    scene.recipient(scene.message(acme.bulk), "a@x.test")
    if connection.vendor != "sqlite":
        pytest.skip("the plan of a small PostgreSQL table is a scan whatever the index")
    with CaptureQueriesContext(connection) as captured:
        queue_page(None)
    hot = [one["sql"] for one in captured if "spool_recipient" in one["sql"]]
    assert len(hot) == 4
    for sql in hot:
        with connection.cursor() as cursor:
            cursor.execute("EXPLAIN QUERY PLAN " + sql)
            plan = " ".join(row[3] for row in cursor.fetchall())
        assert "recipient_waiting" in plan or "recipient_claim" in plan, plan


def test_a_suspended_domain_says_so(acme: Cast, as_operator: Client) -> None:
    scene.recipient(scene.message(acme.bulk), "a@x.test")
    suspension = Suspension.objects.create(scope="site", key="x.test", reason="they asked")
    assert "they asked" in as_operator.get("/queues/").content.decode()
    assert "they asked" in as_operator.get("/queues/x.test/").content.decode()
    suspension.ends_at = timezone.now() - timedelta(minutes=1)
    suspension.save()
    assert "they asked" not in as_operator.get("/queues/").content.decode()


def test_a_part_of_the_page_refreshes_it(acme: Cast, as_operator: Client) -> None:
    scene.recipient(scene.message(acme.bulk), "a@x.test")
    part = as_operator.get("/queues/?part=rows").content.decode()
    assert "<html" not in part
    assert "x.test" in part
    lanes = as_operator.get("/queues/x.test/?part=lanes").content.decode()
    assert "<html" not in lanes
    assert "acme/bulk" in lanes


@pytest.mark.parametrize(
    "query",
    ["sort=nonsense", "page=0", "page=x", "page=99999999999999", "tenant=x", "q=%25", "q=_"],
)
def test_nonsense_in_the_address_is_survived(query: str, acme: Cast, as_operator: Client) -> None:
    assert as_operator.get(f"/queues/?{query}").status_code == 200


def test_an_empty_spool_has_a_hint(acme: Cast, as_operator: Client) -> None:
    assert "Nothing waits" in as_operator.get("/queues/").content.decode()
    assert "Nothing waits" in as_operator.get("/").content.decode()
    assert as_operator.get("/queues/never.test/").status_code == 404


def test_a_domain_lists_its_next_recipients(acme: Cast, as_operator: Client) -> None:
    of = scene.message(acme.bulk)
    now = timezone.now()
    for minutes in (30, 10, 20):
        scene.recipient(of, f"in{minutes}@x.test", next_attempt_at=now + timedelta(minutes=minutes))
    text = as_operator.get("/queues/x.test/").content.decode()
    places = [text.index(f"in{minutes}@x.test") for minutes in (10, 20, 30)]
    assert places == sorted(places)


def test_the_last_hour_is_counted_from_the_events(acme: Cast) -> None:
    to = scene.recipient(scene.message(acme.bulk), "a@x.test")
    long_ago, now = timezone.now() - timedelta(hours=2), timezone.now()
    for at, kinds in (
        (long_ago, ["delivery", "bounce", "delivery"]),
        (now, ["delivery", "expiration", "deferral", "reception"]),
    ):
        for kind in kinds:
            scene.event(to, kind, at=at)
    hour = queries.last_hour()
    assert (hour.delivered, hour.bounced, hour.deferred, hour.capped) == (1, 1, 1, False)
    assert queries.last_hour([acme.tenant.pk + 1]).delivered == 0
