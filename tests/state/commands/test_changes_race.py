"""An operator bounces a queue while dispatchers claim it: nobody is both, nobody is lost.

On SQLite writers stand in a queue (BEGIN IMMEDIATE); PostgreSQL lets them meet.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from mta.control import changes, selection
from mta.events.models import Event
from mta.spool.claim import new_token
from mta.spool.inject import inject
from mta.spool.models import Lane, Recipient
from tests.cast import make_cast
from tests.state.spool.desk import claimed as claimed_of

RECIPIENTS = 600


@pytest.mark.skipif(connection.vendor == "sqlite", reason="its writers cannot meet")
@pytest.mark.django_db(transaction=True)
def test_claims_and_bounces_share_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "BATCH", 20)
    cast = make_cast()
    inject([cast.message(*(f"r{n}@x.test" for n in range(RECIPIENTS)))])
    lane = Lane.objects.get().pk
    claimed: list[int] = []
    start = threading.Barrier(3)

    def dispatch() -> None:
        start.wait()
        while (
            got := claimed_of(lane, 7, token=new_token(), seconds=60)
        ) is None or got.recipient_ids:
            if got is not None:
                claimed.extend(got.recipient_ids)

    def operate() -> None:
        chosen = selection.read(["domain=x.test"], changes.TAKES["bounce"])
        start.wait()
        changes.bounce(chosen, by="olga")

    errors = in_threads(dispatch, dispatch, operate)
    assert errors == []
    states = dict(Recipient.objects.values_list("pk", "state"))
    bounced = {pk for pk, state in states.items() if state == "admin_bounced"}
    assert set(states.values()) <= {"claimed", "admin_bounced"}
    assert sorted(claimed) == sorted(states.keys() - bounced)
    told = Event.objects.filter(kind="admin_bounce").values_list("recipient_id", flat=True)
    assert sorted(told) == sorted(bounced)
    assert claimed
    assert bounced
    assert Lane.objects.get().due_at is None


def in_threads(*works: Callable[[], Any]) -> list[BaseException]:
    """Run all at once; what they raised."""
    errors: list[BaseException] = []

    def guarded(work: Callable[[], Any]) -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return errors
