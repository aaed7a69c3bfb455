"""Mail that is in the tables when the schema changes goes on as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection

from mta.storage.fields import now_ms
from tests.cast import Cast
from tests.state.spool import desk
from tests.state.spool.crowd import crowd

pytestmark = pytest.mark.django_db(transaction=True)


def test_claims_of_running_workers_become_rows(cast: Cast, tmp_path: Path) -> None:
    desk.injected(cast, *(f"u{n}@x.test" for n in range(5)))
    first, second = desk.take("x.test", 2), desk.take("x.test", 2)
    with crowd(tmp_path):
        back_and_forth()
        assert desk.broken() == []
        assert desk.settled(cast, first, "x.test", "delivered").settled == 2
        assert desk.settled(cast, second, "x.test", "deferred").settled == 2
        assert desk.states() == {"delivered": 2, "deferred": 2, "scheduled": 1}
        assert desk.broken() == []


def back_and_forth() -> None:
    try:
        call_command("migrate", "spool", "0002", verbosity=0)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM spool_recipient WHERE state = 'claimed' "
                "AND claimed_until > %s",
                [now_ms()],
            )
            assert cursor.fetchone() == (4,)
    finally:
        call_command("migrate", "spool", verbosity=0)
