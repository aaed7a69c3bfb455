"""hold, release, retry, bounce: what they change, and what they never touch."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from mta import wiring
from mta.control import changes, ending, selection
from mta.events.models import Event
from mta.policy.lifecycle import TRANSITIONS, State
from mta.spool.inject import NewMessage, inject
from mta.spool.models import Lane, Message, Recipient
from tests.cast import Cast
from tests.state.commands.conftest import forget
from tests.state.commands.run import answer, text
from tests.state.dashboard import scene

UNFINISHED = [State.SCHEDULED, State.DEFERRED, State.HELD, State.CLAIMED]


def store(*messages: NewMessage) -> list[Recipient]:
    """Inject, and let the bell fall silent."""
    ids = [pk for accepted in inject(messages) for pk in accepted.recipient_ids]
    wiring.nudge().wait(0)
    return list(Recipient.objects.filter(pk__in=ids).order_by("pk"))


def states() -> dict[str, str]:
    return dict(Recipient.objects.values_list("address", "state"))


def test_without_yes_nothing_changes(cast: Cast) -> None:
    store(cast.message("ann@x.test", "bob@x.test", "cy@y.test"))
    said = text("hold", "--filter", "domain=x.test")
    assert "2 recipients match domain=x.test" in said
    assert "add --yes" in said
    found = answer("hold", "--filter", "tenant=acme")
    assert found["matched"]["by_domain"] == {"x.test": 2, "y.test": 1}
    assert (found["matched"]["total"], found["done"], found["changed"]) == (3, False, 0)
    assert set(states().values()) == {"scheduled"}
    assert wiring.nudge().wait(0) is False


def test_what_was_done_is_told(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    store(cast.message("ann@x.test", "bob@x.test"))
    said = text("bounce", "--filter", "domain=x.test", "--dsn", "--yes")
    assert said.splitlines()[-1] == "Changed: 2; DSNs: 1"
    said = text("bounce", "--filter", "domain=x.test")
    assert said.splitlines() == ["bounce: 0 recipients match domain=x.test", "Nothing to change."]
    store(cast.message("cy@y.test"))
    monkeypatch.setattr(changes, "swap", lambda *_: [])  # all were claimed since they were read
    said = text("hold", "--filter", "domain=y.test", "--yes")
    assert said.splitlines()[-2:] == ["Changed: 0", "1 went their own way meanwhile."]


def test_held_mail_keeps_its_time_and_its_past(cast: Cast) -> None:
    later = timezone.now().replace(microsecond=0) + timedelta(hours=3)
    _, asked = store(cast.message("new@x.test"), cast.message("asked@x.test"))
    tried, bound = store(cast.message("tried@x.test"), cast.message("bound@y.test"))
    Recipient.objects.filter(pk=tried.pk).update(state="deferred", attempts=2)
    Recipient.objects.filter(pk__in=[asked.pk, bound.pk]).update(next_attempt_at=later)
    assert answer("hold", "--filter", "tenant=acme", "--yes")["changed"] == 4
    assert set(states().values()) == {"held"}
    assert set(Lane.objects.values_list("due_at", flat=True)) == {None}

    before = timezone.now()
    assert answer("release", "--filter", "state=held", "--yes")["changed"] == 4
    assert states() == {"new@x.test": "scheduled", "asked@x.test": "scheduled",
                        "tried@x.test": "deferred", "bound@y.test": "scheduled"}  # fmt: skip
    due: dict[str, Any] = dict(Recipient.objects.values_list("address", "next_attempt_at"))
    assert due["asked@x.test"] == due["bound@y.test"] == later
    assert before - timedelta(seconds=1) < due["new@x.test"] <= timezone.now()
    lanes = dict(Lane.objects.values_list("domain", "due_at"))
    assert lanes["x.test"] == min(due["new@x.test"], due["tried@x.test"])
    assert lanes["y.test"] == due["bound@y.test"]
    assert wiring.nudge().wait(0) is True


def test_retry_makes_due_and_keeps_the_order_of_what_is(cast: Cast) -> None:
    now = timezone.now().replace(microsecond=0)
    waits, overdue = store(cast.message("waits@x.test", "overdue@x.test"))
    ancient = now - timedelta(hours=1)
    Recipient.objects.filter(pk=waits.pk).update(
        state="deferred", attempts=1, next_attempt_at=now + timedelta(hours=4)
    )
    Recipient.objects.filter(pk=overdue.pk).update(state="deferred", next_attempt_at=ancient)
    Lane.objects.update(due_at=now + timedelta(hours=4))
    assert answer("retry", "--filter", "domain=x.test", "--yes")["changed"] == 2
    waits.refresh_from_db()
    overdue.refresh_from_db()
    assert waits.next_attempt_at <= timezone.now()
    assert waits.state == "deferred"
    assert overdue.next_attempt_at == Lane.objects.get().due_at == ancient
    assert wiring.nudge().wait(0) is True


def test_retry_warns_of_mail_that_was_never_tried(cast: Cast) -> None:
    store(cast.message("ann@x.test"))
    assert "state=deferred" in text("retry", "--filter", "tenant=acme")


def test_bounce_ends_with_an_event_and_without_a_dsn(cast: Cast) -> None:
    waits, held = store(cast.message("waits@x.test", "held@x.test", campaign="may"))
    Recipient.objects.filter(pk=held.pk).update(state="held")
    found = answer("bounce", "--filter", "campaign=may", "--reason", "wrong list", "--yes")
    assert (found["changed"], found["dsns"]) == (2, 0)
    assert set(states().values()) == {"admin_bounced"}
    assert set(Recipient.objects.values_list("next_attempt_at", flat=True)) == {None}
    assert Lane.objects.get().due_at is None
    events = Event.objects.filter(kind="admin_bounce").order_by("recipient_id")
    assert [event.recipient_id for event in events] == [waits.pk, held.pk]
    assert "ended by an operator: wrong list" in events[0].data
    assert Message.objects.count() == 1
    assert wiring.counters().read("recipients:")["recipients:admin_bounced"] == 2


def test_dsn_only_to_those_who_may_be_told(cast: Cast) -> None:
    store(cast.message("told@x.test", reverse_path="sender@acme.test"),
          cast.message("null@x.test", reverse_path=""))  # fmt: skip
    (never,) = store(cast.message("never@x.test"))
    Recipient.objects.filter(pk=never.pk).update(notify="NEVER")
    cast.bulk.sends_dsn = False
    cast.bulk.save()
    store(cast.message("silent@x.test", stream=cast.bulk))
    found = answer("bounce", "--filter", "tenant=acme", "--dsn", "--yes")
    assert (found["changed"], found["dsns"]) == (4, 1)
    dsn = Message.objects.get(origin="dsn")
    assert dsn.reverse_path == ""
    assert [row.address for row in dsn.recipients.all()] == ["sender@acme.test"]
    assert dsn.recipients.get().state == "scheduled"


@pytest.mark.parametrize("action", ["hold", "release", "retry", "bounce"])
def test_each_action_takes_its_states_and_no_claim(cast: Cast, action: str) -> None:
    message = scene.message(cast.transactional)
    for state in State:
        scene.recipient(message, f"{state.value}@x.test", state.value)
    before = states()
    found = answer(action, "--filter", "domain=x.test", "--yes")
    assert found["changed"] == len(changes.TAKES[action])
    assert found["matched"]["in_flight"] == 1
    for address, after in states().items():
        if before[address] not in changes.TAKES[action]:
            assert after == before[address]
        elif action != "retry":
            assert State(after) in TRANSITIONS[State(before[address])]


def test_one_that_is_claimed_meanwhile_is_left_alone(cast: Cast) -> None:
    message = scene.message(cast.transactional)
    claimed = scene.recipient(message, "claimed@x.test", "claimed")
    waits = scene.recipient(message, "waits@x.test")
    chosen = selection.read(["domain=x.test"], changes.TAKES["hold"])
    swapped = changes.swap("hold", chosen, [claimed.pk, waits.pk], "state = 'held'", [])
    assert [row[0] for row in swapped] == [waits.pk]
    assert states()["claimed@x.test"] == "claimed"


def test_many_go_in_batches(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "BATCH", 2)
    store(cast.message(*(f"r{n}@x.test" for n in range(5))))
    assert answer("bounce", "--filter", "tenant=acme", "--yes")["changed"] == 5
    assert set(states().values()) == {"admin_bounced"}


def test_state_and_event_stand_or_fall_together(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object, **__: object) -> int:
        raise RuntimeError("the disk is full")

    store(cast.message("ann@x.test"))
    monkeypatch.setattr(ending, "tell", breaks)
    with pytest.raises(RuntimeError):
        text("bounce", "--filter", "tenant=acme", "--yes")
    assert states() == {"ann@x.test": "scheduled"}


def test_without_redis_the_change_is_made(cast: Cast, settings: Any) -> None:
    store(cast.message("ann@x.test"))
    settings.MAILMILL = replace(settings.MAILMILL, redis_url="redis://127.0.0.1:1/0")
    forget()
    assert answer("bounce", "--filter", "tenant=acme", "--yes")["changed"] == 1
    assert states() == {"ann@x.test": "admin_bounced"}
