"""What dispatch asks: who has something due, which lanes, and when the next one comes."""

from __future__ import annotations

import pytest

from mta.spool import due, waiting
from mta.spool.models import Lane
from mta.spool.waiting import PutOff
from mta.storage.fields import now_ms
from tests.cast import Cast, make_cast
from tests.state.spool import desk

pytestmark = pytest.mark.django_db


def domains(cast: Cast, **values: object) -> list[str]:
    found = due.lanes_due(
        cast.tenant.pk,
        now_ms(),
        **{"skip_domains": (), "limit": 10, **values},  # type: ignore[arg-type]  # by name
    )
    return [lane.domain for lane in found]


def test_transactional_first_then_the_oldest(cast: Cast) -> None:
    for name, stream, age in (
        ("new.test", cast.bulk, 10), ("old.test", cast.bulk, 20),
        ("now.test", cast.transactional, 5), ("late.test", cast.transactional, -1000),
    ):  # fmt: skip
        desk.injected(cast, f"a@{name}", stream=stream)
        Lane.objects.filter(domain=name).update(due_at=now_ms() - age * 1000)
    assert domains(cast) == ["now.test", "old.test", "new.test"]
    assert domains(cast, limit=1) == ["now.test", "old.test"], "one of each urgency"
    assert domains(cast, skip_domains={"now.test", "x.test"}) == ["old.test", "new.test"]
    assert domains(cast, skip_domains={"old.test"}, limit=1) == ["now.test", "new.test"]


def test_tenants_with_something_due(cast: Cast) -> None:
    other, idle = make_cast("other", "other.test"), make_cast("idle", "idle.test")
    desk.injected(cast, "a@x.test", stream=cast.bulk)
    desk.injected(other, "a@y.test")
    desk.injected(idle, "a@z.test")
    Lane.objects.filter(domain="z.test").update(due_at=now_ms() + 60_000)
    assert due.tenants_due(now_ms()) == [cast.tenant.pk, other.tenant.pk]
    Lane.objects.update(due_at=None)
    assert due.tenants_due(now_ms()) == []


def test_the_next_instant(cast: Cast) -> None:
    now = now_ms()
    assert due.next_due_at(now) is None
    desk.injected(cast, "a@x.test", "b@y.test")
    Lane.objects.filter(domain="x.test").update(due_at=now + 5000)
    assert due.next_due_at(now + 1000) == now + 5000


def test_a_lane_that_is_put_off_waits_as_a_whole(cast: Cast) -> None:
    desk.injected(cast, "a@x.test")
    until = now_ms() + 60_000
    gate = waiting.suspended("site", "x.test")
    waiting.put_off([PutOff(desk.lane("x.test").pk, until, gate, "site suspended" * 30)])
    desk.injected(cast, "b@x.test")  # what comes meanwhile does not wake it
    assert domains(cast) == []
    assert due.next_due_at(now_ms()) == until
    assert desk.lane("x.test").hold_reason.startswith("site suspended")
    assert waiting.release(waiting.suspended("site", "other.test")) == 0
    assert waiting.release(gate) == 1
    assert domains(cast) == ["x.test"]
    assert desk.lane("x.test").hold_reason == ""
