"""What waits for a rule that a person changes is let go once every process has heard of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import pytest

from mta.egress.models import ShapingRule
from mta.spool import rule_changes, waiting
from mta.spool.inject import inject
from mta.spool.models import Lane
from mta.storage.fields import now_ms, to_ms
from tasks import dispatch
from tests.cast import Cast
from tests.state.commands.conftest import forget

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fresh_redis")]

Commits = Callable[..., AbstractContextManager[list[Any]]]
HOUR_MS = 3_600_000


def put_off(cast: Cast) -> Lane:
    """A lane that a limit keeps back for an hour."""
    inject([cast.message("you@example.org")])
    lane = Lane.objects.get()
    waiting.put_off([waiting.PutOff(lane.pk, now_ms() + HOUR_MS, "hour:x", "limit: used up")])
    return lane


@pytest.mark.parametrize("way", ["create", "save", "delete"])
def test_what_waits_goes_when_all_have_heard(
    way: str, cast: Cast, django_capture_on_commit_callbacks: Commits
) -> None:
    row = ShapingRule(match_kind="site", match="x.test", messages_per_hour=1)
    if way != "create":
        row.save()
    lane = put_off(cast)
    before = now_ms()
    with django_capture_on_commit_callbacks(execute=True):
        row.delete() if way == "delete" else row.save()
    lane.refresh_from_db()
    assert (lane.gate, lane.hold_reason) == ("", "")
    assert lane.due_at is not None
    assert 3000 < to_ms(lane.due_at) - before < 5000


def test_what_an_old_rule_puts_off_after_the_change_goes_too(
    cast: Cast, django_capture_on_commit_callbacks: Commits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing waited when the rule was changed; a process that had not heard of it put mail off."""
    with django_capture_on_commit_callbacks(execute=True):
        ShapingRule.objects.create(match_kind="site", match="x.test", messages_per_second=9)
    lane = put_off(cast)
    dispatcher = dispatch.Dispatcher()
    dispatcher.heed_changes()
    lane.refresh_from_db()
    assert lane.gate == "hour:x", "others have not heard yet"
    later = now_ms() + rule_changes.HEARD_MS + 1000
    monkeypatch.setattr(dispatch, "now_ms", lambda: later)
    dispatcher.asked_at = float("-inf")
    dispatcher.heed_changes()
    lane.refresh_from_db()
    assert lane.gate == ""
    assert lane.due_at is not None
    assert to_ms(lane.due_at) < later


def test_without_redis_a_rule_can_be_changed(
    cast: Cast, django_capture_on_commit_callbacks: Commits, settings: Any
) -> None:
    lane = put_off(cast)
    settings.MAILMILL = replace(settings.MAILMILL, redis_url="redis://127.0.0.1:1/0")
    forget()
    with django_capture_on_commit_callbacks(execute=True):
        ShapingRule.objects.create(match_kind="site", match="x.test", messages_per_second=9)
    lane.refresh_from_db()
    assert lane.gate == ""
