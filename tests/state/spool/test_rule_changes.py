"""A person changes rules: who waits for the old ones is let go, also who is put off just now."""

from __future__ import annotations

import pytest
import redis

from mta import wiring
from mta.egress.models import ShapingRule
from mta.limits.memory import Memory
from mta.limits.nudge import Nudge
from mta.spool import rule_changes
from mta.storage.fields import now_ms

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def memory(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client = redis.Redis.from_url(redis_url)
    client.flushdb()
    monkeypatch.setattr(wiring, "memory", lambda: Memory(client))
    monkeypatch.setattr(wiring, "nudge", lambda: Nudge(client))


def test_a_change_is_remembered_while_nothing_waits_yet() -> None:
    # A batch under way may be put off for the old rule in the next seconds.
    before = now_ms()
    ShapingRule.objects.create(match_kind="default", match="", messages_per_hour=100)
    assert before <= rule_changes.last_change() <= now_ms()
