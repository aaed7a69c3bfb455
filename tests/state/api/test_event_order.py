"""A reader of events never passes one that is still being written (PostgreSQL only: see stream)."""

from __future__ import annotations

import threading

import pytest
from django.db import connection, connections, transaction

from mta.api import stream
from mta.egress.provision import provision
from mta.events.models import Event
from mta.mail.ids import encode
from mta.storage.fields import now_ms

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor == "sqlite", reason="there is one writer at a time"),
]


def write(tenant_id: int) -> int:
    return Event.objects.create(
        at=now_ms(), kind="delivery", tenant_id=tenant_id, message_id=1, recipient_id=1, data="{}"
    ).pk


def test_a_later_id_waits_for_an_earlier_one(monkeypatch: pytest.MonkeyPatch) -> None:
    tenant = provision("shop").tenant.pk
    drawn, may_commit, committed = threading.Event(), threading.Event(), threading.Event()
    early: list[int] = []

    def slow_writer() -> None:
        try:
            with transaction.atomic():
                early.append(write(tenant))
                drawn.set()
                may_commit.wait(20)
            committed.set()
        finally:
            connections.close_all()

    thread = threading.Thread(target=slow_writer)
    thread.start()
    assert drawn.wait(20)
    late = write(tenant)
    assert late > early[0]
    assert Event.objects.count() == 1  # the late one can be seen, the early one cannot

    monkeypatch.setattr(stream, "PATIENCE", 0.05)
    found = stream.events(tenant, -1, 100, [])
    assert (found["items"], found["next"]) == ([], encode(0))

    # With patience the reader waits for that writer, and only for it.
    monkeypatch.setattr(stream, "PATIENCE", 20)
    threading.Timer(0.05, may_commit.set).start()
    found = stream.events(tenant, -1, 100, [])
    assert committed.wait(20)
    thread.join(20)
    assert [event["id"] for event in found["items"]] == [encode(early[0]), encode(late)]
