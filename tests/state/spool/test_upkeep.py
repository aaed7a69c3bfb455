"""What time alone does: held mail expires, old answers are forgotten, wrong lanes are repaired."""

from __future__ import annotations

import orjson
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from mta.events.models import Event
from mta.spool import upkeep
from mta.spool.models import IdempotencyKey, Lane, Message, Recipient
from mta.storage.fields import from_ms, now_ms
from tests.cast import Cast
from tests.state.spool import desk

pytestmark = pytest.mark.django_db


def test_held_mail_expires_with_event_and_report(cast: Cast) -> None:
    late = desk.injected(cast, "a@x.test", "b@y.test", campaign="may", metadata={"k": 1})
    desk.injected(cast, "c@x.test")
    Recipient.objects.update(state="held", next_attempt_at=None)
    Message.objects.filter(pk=late.message_id).update(created_at=from_ms(1), expires_at=from_ms(2))
    assert upkeep.expire(limit=1) == 1
    assert upkeep.expire() == 1
    assert upkeep.expire() == 0
    assert desk.states() == {"expired": 2, "held": 1, "scheduled": 2}
    row = desk.row(late.recipient_ids[0])
    assert (row.bounce_class, row.next_attempt_at) == ("expired", None)
    event = Event.objects.get(kind="expiration", recipient_id=row.pk)
    fields = orjson.loads(event.data)
    assert (fields["campaign"], fields["metadata"], fields["bounce_class"]) == (
        "may", {"k": 1}, "expired",
    )  # fmt: skip
    assert Message.objects.filter(origin="dsn").count() == 2
    assert desk.broken() == []


def test_the_sweep_looks_at_held_mail_only(cast: Cast) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL plans by what the table holds")
    with CaptureQueriesContext(connection) as asked:
        upkeep.expire()
    (query,) = [row["sql"] for row in asked if "r.state = 'held'" in row["sql"]]
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {query}")
        assert "recipient_held" in cursor.fetchall()[0][3]


def test_mail_that_waits_is_not_expired_here(cast: Cast) -> None:
    desk.injected(cast, "a@x.test")
    Message.objects.update(created_at=from_ms(1), expires_at=from_ms(2))
    assert upkeep.expire() == 0
    assert desk.states() == {"scheduled": 1}


def test_old_answers_are_forgotten(cast: Cast) -> None:
    for key, age in (("old", 25), ("young", 23)):
        IdempotencyKey.objects.create(
            tenant=cast.tenant, key=key, request_digest="0" * 64, status=202, response="{}",
            created_at=now_ms() - age * 3_600_000,
        )  # fmt: skip
    assert upkeep.forget_idempotency_keys() == 1
    assert IdempotencyKey.objects.get().key == "young"


@pytest.mark.parametrize("wrong", [None, 10**15])
def test_a_lane_that_is_due_too_late_is_repaired(cast: Cast, wrong: int | None) -> None:
    desk.injected(cast, "a@x.test", "b@y.test")
    Lane.objects.filter(domain="x.test").update(due_at=wrong)
    assert len(desk.broken()) == 1
    assert upkeep.rearm_all() == 1
    assert upkeep.rearm_all() == 0
    assert desk.broken() == []
