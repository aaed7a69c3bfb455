"""Dispatch when the database fails in the middle of a round: told, and nothing stays taken."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError

from mta import wiring
from mta.delivery.batch import Batch
from mta.spool import claim
from mta.spool.inject import inject
from tests.cast import Cast


def test_a_claim_that_fails_is_raised_and_leaves_no_place_taken(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks.dispatch import Dispatcher

    def fail(*_: Any, **__: Any) -> None:
        raise OperationalError("the disk is gone")

    inject([cast.message("you@example.org")])
    monkeypatch.setattr(claim, "claim", fail)
    with pytest.raises(OperationalError, match="the disk is gone"):
        Dispatcher().round()
    assert wiring.limits().held("batches") == 0


def test_what_was_claimed_before_the_failure_goes_its_way(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks import dispatch, pipeline

    real = claim.claim
    published: list[Batch] = []

    def fail_the_second_time(*args: Any, **values: Any) -> Any:
        monkeypatch.setattr(claim, "claim", broken)
        return real(*args, **values)

    def broken(*_: Any, **__: Any) -> None:
        raise OperationalError("the disk is gone")

    inject([cast.message("you@example.org", "you@example.net")])
    monkeypatch.setattr(claim, "claim", fail_the_second_time)
    monkeypatch.setattr(pipeline, "start", published.extend)
    with pytest.raises(OperationalError):
        dispatch.Dispatcher().round()
    assert len(published) == 1
    assert wiring.limits().held("batches") == 1
