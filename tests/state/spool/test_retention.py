"""What is past its time goes in small steps; what waits, and bodies in use, never."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction

from mta import wiring
from mta.events.models import Decision, Event
from mta.mail.address import parse_address
from mta.spool import claim, inject, retention
from mta.spool.models import Attempt, Body, Message, Recipient
from mta.storage.fields import from_ms, now_ms
from tests.cast import Cast
from tests.services.processes import wait_until
from tests.state.spool import desk
from tests.state.spool.crowd import crowd

DAY = retention.DAY_MS


@pytest.fixture(autouse=True)
def from_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_place", retention.Place())


def later(days: float) -> int:
    return now_ms() + round(days * DAY)


def forget(days: float, limit: int = 1000) -> int:
    return retention.forget(limit=limit, seconds=60, now=later(days))


def delivered(cast: Cast, *to: str, **values: Any) -> inject.Accepted:
    accepted = desk.injected(cast, *to, **values)
    domains = {address.rpartition("@")[2] for address in to}
    for domain in domains:
        desk.settled(cast, desk.take(domain), domain, "delivered")
    return accepted


def counted() -> tuple[int, ...]:
    return tuple(model.objects.count() for model in (Message, Recipient, Attempt, Event, Body))


@pytest.mark.django_db
def test_finished_mail_goes_after_its_days_and_not_before(cast: Cast) -> None:
    delivered(cast, "a@x.test", "b@x.test")
    before = counted()
    assert before == (1, 2, 2, 4, 1)
    assert forget(29.9) == 0
    assert counted() == before
    assert forget(30.1) == 1 + 2 + 2 + 4 + 1
    assert counted() == (0, 0, 0, 0, 0)
    assert forget(30.1) == 0


@pytest.mark.django_db
def test_its_days_begin_when_it_was_finished(cast: Cast) -> None:
    (rid,) = delivered(cast, "a@x.test").recipient_ids
    Recipient.objects.filter(pk=rid).update(updated_at=later(5))
    forget(31)
    assert counted()[:3] == (1, 1, 1)
    forget(36)
    assert counted()[:3] == (0, 0, 0)


@pytest.mark.django_db
@pytest.mark.parametrize("state", ["scheduled", "claimed", "deferred", "held"])
@pytest.mark.parametrize("limit", [2, 1000])
def test_a_message_of_which_anything_is_open_stays_whole(
    cast: Cast, state: str, limit: int
) -> None:
    to = [parse_address(f"u{n}@x.test") for n in range(5)]
    desk.injected(cast, *map(str, to))
    held = desk.take("x.test")
    last = held.recipient_ids[-1]
    outcome = {"scheduled": "postponed", "deferred": "deferred"}.get(state)
    results = [desk.result(rid, "delivered") for rid in held.recipient_ids[:-1]]
    if outcome:
        results.append(desk.result(last, outcome))
    context = desk.context(cast, held.token, "x.test")
    desk.settled_as(context, results)
    if state == "held":
        claim.give_back(held.token)
        Recipient.objects.filter(pk=last).update(state="held")
    assert desk.row(last).state == state
    delivered(cast, "z@y.test")
    forget(400, limit)
    assert counted()[:3] == (1, 5, 4 + (state == "deferred"))
    assert Body.objects.count() == 1


@pytest.mark.django_db
def test_a_large_message_goes_in_parts_and_a_step_keeps_to_its_limit(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    delivered(cast, *(f"u{n}@x.test" for n in range(7)))
    delivered(cast, *(f"u{n}@y.test" for n in range(3)))
    delivered(cast, "one@z.test")
    steps: list[int] = []
    delete = retention.delete

    def watched(found: retention.Finished, unused_since: int) -> int:
        steps.append(len(found.recipient_ids))
        return delete(found, unused_since)

    monkeypatch.setattr(retention, "delete", watched)
    forget(31, limit=3)
    assert max(steps) == 3
    assert sum(steps) == 11
    assert counted() == (0, 0, 0, 0, 0)


@pytest.mark.django_db
def test_a_call_that_runs_out_of_time_goes_on_where_it_stopped(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "MESSAGES_A_LOOK", 2)
    for n in range(3):
        desk.injected(cast, f"open{n}@x.test")
    delivered(cast, "done@y.test")
    before = later(31) - 30 * DAY
    assert retention.messages(before, later(30), 10) == 0
    assert retention.messages(before, later(30), 10) == 3
    assert retention.messages(before, later(30), 10) is None
    assert Message.objects.count() == 3


@pytest.mark.django_db
def test_a_body_goes_with_its_last_message(cast: Cast) -> None:
    delivered(cast, "a@x.test")
    desk.injected(cast, "b@y.test")
    forget(31)
    assert (Message.objects.count(), Body.objects.count()) == (1, 1)
    desk.settled(cast, desk.take("y.test"), "y.test", "delivered")
    forget(31)
    assert (Message.objects.count(), Body.objects.count()) == (0, 0)


@pytest.mark.django_db
def test_a_body_that_was_just_taken_up_stays(cast: Cast) -> None:
    """Its message may not be committed yet."""
    delivered(cast, "a@x.test")
    Body.objects.update(created_at=later(30.5))
    forget(31)
    assert (Message.objects.count(), Body.objects.count()) == (0, 1)


@pytest.mark.django_db
def test_zero_days_keep_for_ever(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(wiring.config(), retention_days=0, event_retention_days=0)
    monkeypatch.setattr(wiring, "config", lambda: config)
    delivered(cast, "a@x.test")
    assert forget(9999) == 0
    monkeypatch.setattr(wiring, "config", lambda: replace(config, event_retention_days=1))
    assert forget(2) == 2
    assert counted()[:4] == (1, 1, 1, 0)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("first", ["injection", "retention"])
def test_no_message_loses_its_body_to_a_meeting(cast: Cast, tmp_path: Path, first: str) -> None:
    """An injection takes up a body whose last message is being forgotten."""
    if connection.vendor != "postgresql":
        pytest.skip("there is one writer at a time")
    delivered(cast, "a@x.test")
    month_ago = now_ms() - 40 * DAY
    Body.objects.update(created_at=month_ago)
    begun = threading.Event()
    before = later(1)

    def waits_for_a_lock() -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            return bool(cursor.fetchone()[0])

    def lead(work: Any) -> None:
        with transaction.atomic():
            work()
            begun.set()
            wait_until(waits_for_a_lock, 20, "the other one waits")

    def follow(work: Any) -> None:
        begun.wait(20)
        work()

    def injecting() -> None:
        inject.inject([cast.message("b@y.test")])

    def forgetting() -> None:
        assert retention.messages(before, now_ms() - DAY, 100)

    leading, following = (
        (injecting, forgetting) if first == "injection" else (forgetting, injecting)
    )
    with crowd(tmp_path) as people:
        people.run([lambda: lead(leading), lambda: follow(following)])
    (message,) = Message.objects.all()
    assert Body.objects.filter(pk=message.body_id).exists()
    assert len(Body.objects.all()) == 1


def test_decisions_are_kept_for_their_days(db: None) -> None:
    now = now_ms()
    for age in (retention.DECISION_DAYS + 1, retention.DECISION_DAYS - 1):
        at: Any = from_ms(now - age * retention.DAY_MS)
        Decision.objects.create(at=at, actor="olga", kind="hold", reason=f"{age}")
    assert retention.forget(limit=1) == 1
    assert Decision.objects.get().reason == f"{retention.DECISION_DAYS - 1}"
