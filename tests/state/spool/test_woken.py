"""A person says `retry`: lanes that wait as a whole look again at once."""

from __future__ import annotations

import pytest

from mta.control import changes
from mta.control.selection import read
from mta.spool import waiting
from mta.spool.models import Lane
from mta.storage.fields import now_ms
from tests.cast import Cast
from tests.state.spool import desk

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("gate", ["", "hour:out-1:mx.x.test"])
def test_a_retry_does_not_wait_for_what_its_lane_waits_for(cast: Cast, gate: str) -> None:
    desk.injected(cast, "a@x.test", "b@x.test")
    desk.injected(cast, "c@y.test")
    later = now_ms() + 3_600_000
    waiting.put_off([waiting.PutOff(one.pk, later, gate, "why") for one in Lane.objects.all()])
    changes.retry(read(["domain=x.test"], changes.TAKES["retry"]), by="ann")
    woken, other = Lane.objects.order_by("domain")
    assert (woken.gate, woken.hold_reason) == ("", "")
    assert woken.due_at is not None
    assert woken.due_at.timestamp() * 1000 <= now_ms()
    assert other.due_at is not None
    assert other.due_at.timestamp() * 1000 >= later - 1
