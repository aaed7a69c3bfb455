"""The rows that inject makes in its own quick way say what the slow way would say."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.test.testcases import TestCase

from mta.events import outbox
from mta.events.models import Event
from mta.mail.address import Address
from mta.mail.ids import encode
from mta.observe import maillog
from mta.spool import inject
from mta.spool.ids import new_id
from mta.spool.models import Body
from mta.suppression.models import Suppression
from tests.cast import RAW, Cast
from tests.state.spool import desk

pytestmark = pytest.mark.django_db

NAMES = ["plain", 'quo"ted', "back\\slash", "grüße", "a b"]


@pytest.fixture
def logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(maillog, "_state", {})
    path = tmp_path / "mail.log"
    maillog.open_file(path)
    return path


def awkward(cast: Cast, **values: Any) -> inject.NewMessage:
    recipients = [inject.NewRecipient(Address(name, "x.test")) for name in NAMES]
    own = inject.NewRecipient(Address("own", "y.test"), None, {"order": 2, "more": "grün"})
    return replace(cast.message(**values), recipients=[*recipients, own])


@pytest.mark.parametrize("told", [
    {},
    {"campaign": 'sp"ring', "tags": ["a", "b"], "metadata": {"order": 1, "to": "x"}},
])  # fmt: skip
def test_events_and_log_are_those_of_the_outbox(
    cast: Cast, logged: Path, told: dict[str, Any]
) -> None:
    cast.tenant.name = 'ac"me'
    cast.tenant.save()
    Suppression.objects.create(tenant=None, address="plain@x.test", reason="manual")
    message = awkward(cast, **told)
    with TestCase.captureOnCommitCallbacks(execute=True):
        (accepted,) = inject.inject([message])
    quick = list(Event.objects.order_by("id"))
    shared = outbox.message_fields(
        stream="transactional", campaign=message.campaign, tags=list(message.tags),
        metadata=dict(message.metadata),
    )  # fmt: skip
    events = [
        outbox.NewEvent(
            at=at_ms(quick[0]),
            kind="suppression" if index in accepted.suppressed else "reception",
            tenant_id=cast.tenant.pk,
            tenant='ac"me',
            message_id=accepted.message_id,
            recipient_id=accepted.recipient_ids[index],
            to=str(one.address),
            fields=shared | {"metadata": {**message.metadata, **(one.metadata or {})}},
        )
        for index, one in enumerate(message.recipients)
    ]
    with TestCase.captureOnCommitCallbacks(execute=True):
        outbox.write(events)
    slow = list(Event.objects.order_by("id"))[len(quick) :]
    lines = logged.read_bytes().splitlines()
    assert [as_row(event) for event in quick] == [as_row(event) for event in slow]
    assert [orjson.loads(line) for line in lines[: len(quick)]] == [
        orjson.loads(line) for line in lines[len(quick) :]
    ]
    assert accepted.suppressed == {0}


def at_ms(event: Event) -> int:
    return round(event.at.timestamp() * 1000)


def as_row(event: Event) -> tuple[Any, ...]:
    return (event.at, event.kind, event.tenant_id, event.message_id, event.recipient_id,
            orjson.loads(event.data))  # fmt: skip


def test_content_that_names_its_message_is_a_body_of_its_own(cast: Cast) -> None:
    ids = [new_id(), new_id()]
    inject.inject([
        cast.message("a@x.test", message_id=ids[0], unique=True),
        cast.message("b@x.test"),
        cast.message("c@x.test", message_id=ids[1], unique=True),
        cast.message("d@x.test"),
    ])  # fmt: skip
    keys = set(Body.objects.values_list("digest", flat=True))
    assert {encode(one) for one in ids} < keys
    assert len(keys) == 3
    assert [one.wire() for one in desk.loaded(desk.take("x.test").token)] == [RAW] * 4


def test_a_body_that_is_shared_again_is_as_young_as_its_last_message(cast: Cast) -> None:
    desk.injected(cast, "a@x.test")
    begun = Body.objects.get().created_at
    for age, young in ((timedelta(hours=2), True), (timedelta(minutes=30), False)):
        Body.objects.update(created_at=begun - age)
        desk.injected(cast, "b@x.test")
        assert (Body.objects.get().created_at >= begun) is young


def test_each_stream_of_a_call_has_its_own_suppressions(cast: Cast) -> None:
    Suppression.objects.create(
        tenant=cast.tenant, stream=cast.bulk, address="a@x.test", reason="unsubscribe"
    )
    accepted = inject.inject([
        cast.message("b@x.test", "A@x.test", stream=cast.bulk),
        cast.message("b@x.test", "a@x.test"),
        cast.message("a@x.test", stream=cast.bulk),
    ])  # fmt: skip
    assert [one.suppressed for one in accepted] == [{1}, set(), {0}]
    assert desk.states() == {"suppressed": 2, "scheduled": 3}
    assert desk.broken() == []
