"""A claim reads one range of one index, whatever else waits, was claimed or was done."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from mta.spool.models import Lane
from mta.spool.take import FIRST_OF_MANY, FIRST_OF_ONE
from tests.cast import Cast
from tests.state.spool import desk

pytestmark = pytest.mark.django_db

#: Recipients of each lane that were claimed, are done, and wait, in the order of their times.
EACH = 5000
MOST = 11


def fill(cast: Cast) -> Lane:
    """Two lanes of which a third is claimed, a third is done, and a third waits."""
    desk.injected(cast, "one@x.test", "two@y.test")
    Lane.objects.update(earliest_at=2 * EACH, due_at=2 * EACH)
    message = desk.row(desk.take("x.test").recipient_ids[0]).message_id
    numbers = (
        "generate_series(1, %s) AS n(n)"
        if connection.vendor == "postgresql"
        else "(WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < %s) "
        "SELECT n FROM n) AS n"
    )
    with connection.cursor() as cursor:
        for number, lane in enumerate(Lane.objects.all()):
            cursor.execute(
                "INSERT INTO spool_recipient (id, message_id, lane_id, address, state, attempts, "
                "next_attempt_at, metadata, notify, orcpt, last_reply, bounce_class, updated_at) "
                f"SELECT n + %s, %s, %s, 'u@x.test', 'scheduled', 0, n, '', '', '', '', '', 1 "
                f"FROM {numbers}",
                [number * 4 * EACH, message, lane.pk, 3 * EACH],
            )
        cursor.execute(
            "UPDATE spool_recipient SET state = 'claimed', claim_token = 7 "
            "WHERE state = 'scheduled' AND next_attempt_at <= %s",
            [2 * EACH],
        )
        cursor.execute(
            "UPDATE spool_recipient SET state = 'delivered', claim_token = NULL, "
            "next_attempt_at = NULL WHERE claim_token = 7 AND next_attempt_at <= %s",
            [EACH],
        )
    return desk.lane("x.test")


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", []):
        yield from nodes(below)


@pytest.mark.parametrize("analysed", [False, True])
def test_a_claim_is_one_range_of_one_index(cast: Cast, analysed: bool) -> None:
    lane = fill(cast)
    with connection.cursor() as cursor:
        if analysed:
            cursor.execute("ANALYZE spool_recipient")
        if connection.vendor == "postgresql":
            params = [[lane.pk], [2 * EACH], [MOST]]
            query = FIRST_OF_MANY.format(how="")
            cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}", params)
            plan = cursor.fetchone()[0][0]["Plan"]
            kinds = {node["Node Type"] for node in nodes(plan)}
            assert not kinds & {"Sort", "Seq Scan", "Bitmap Heap Scan", "Incremental Sort"}, kinds
            assert {n.get("Index Name") for n in nodes(plan)} == {None, "recipient_waiting"}
            assert plan["Actual Rows"] == MOST
            assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 20
        else:
            cursor.execute(f"EXPLAIN QUERY PLAN {FIRST_OF_ONE}", [lane.pk, 2 * EACH, MOST])
            (step,) = [row[3] for row in cursor.fetchall()]
            wanted = "SEARCH spool_recipient USING INDEX recipient_waiting (lane_id=? AND next_att"
            assert step.startswith(wanted), step


def test_the_next_claim_begins_where_the_last_one_ended(cast: Cast) -> None:
    """On PostgreSQL the index keeps what was claimed until vacuum: it is not walked through."""
    lane = fill(cast)
    held = desk.claimed(lane.pk, 100, token=11, seconds=60)
    assert held is not None
    times = list(range(2 * EACH + 1, 2 * EACH + 101))
    assert list(held.recipient_ids) == times
    lane.refresh_from_db()
    assert lane.earliest_at == lane.due_at
    assert round(lane.earliest_at.timestamp() * 1000) == 2 * EACH + 101


def test_a_lane_that_looks_too_late_is_found_out(cast: Cast) -> None:
    """Were earliest_at wrong by a bug: nothing is found, so the claim looks from the start."""
    lane = fill(cast)
    Lane.objects.filter(pk=lane.pk).update(earliest_at=9 * EACH)
    held = desk.claimed(lane.pk, 10, token=11, seconds=60)
    assert held is not None
    assert len(held.recipient_ids) == 10
