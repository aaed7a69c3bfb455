"""Who ends a suspension brings back what it put off, and reads nothing of what is due anyway."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from mta.spool.models import Recipient
from mta.spool.put_off import bring_back
from tests.cast import Cast
from tests.state.spool import desk

pytestmark = pytest.mark.django_db
REASON = "the site is suspended"


def test_only_what_waits_longer_for_the_reason_comes_back(cast: Cast) -> None:
    desk.injected(cast, *(f"u{number}@x.test" for number in range(4)), "u@y.test")
    lane = desk.lane("x.test").pk
    sooner, later, retried, held = Recipient.objects.filter(lane=lane).order_by("id")
    Recipient.objects.filter(pk=sooner.pk).update(next_attempt_at=5, last_reply=REASON)
    Recipient.objects.filter(pk=later.pk).update(next_attempt_at=50, last_reply=f"{REASON}: x")
    Recipient.objects.filter(pk=retried.pk).update(next_attempt_at=50, last_reply="451 later")
    Recipient.objects.filter(pk=held.pk).update(
        next_attempt_at=None, last_reply=REASON, state="held"
    )
    Recipient.objects.filter(lane=desk.lane("y.test").pk).update(
        next_attempt_at=50, last_reply=REASON
    )
    assert bring_back([lane], [REASON, "another reason"], 10) == 1
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT next_attempt_at FROM spool_recipient WHERE lane_id = %s ORDER BY id", [lane]
        )
        assert [row[0] for row in cursor.fetchall()] == [5, 10, 50, None]
    assert bring_back([], [REASON], 10) == 0


def test_it_reads_one_range_of_what_waits(cast: Cast) -> None:
    if connection.vendor == "postgresql":
        pytest.skip("a small table is read from end to end, and rightly")
    desk.injected(cast, "u@x.test")
    plans: list[str] = []

    def explained(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        raw = context["connection"].connection.execute(
            "EXPLAIN QUERY PLAN " + sql.replace("%s", "?"), params
        )
        plans.extend(row[3] for row in raw)
        return execute(sql, params, many, context)

    lane = desk.lane("x.test").pk
    with connection.execute_wrapper(explained):
        bring_back([lane], [REASON], 10)
    (plan,) = plans
    assert "USING INDEX recipient_waiting (lane_id=? AND next_attempt_at>?)" in plan
