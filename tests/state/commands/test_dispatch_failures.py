"""Dispatch when the database fails in the middle of a round: told, and nothing stays taken."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError

from mta import wiring
from mta.spool import claim
from mta.spool.inject import inject
from mta.spool.models import Recipient
from tests.cast import Cast


def test_a_claim_that_fails_is_raised_and_leaves_no_place_taken(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks.dispatch import Dispatcher

    def fail(*_: Any, **__: Any) -> None:
        raise OperationalError("the disk is gone")

    inject([cast.message("you@example.org")])
    monkeypatch.setattr(claim, "claim_many", fail)
    with pytest.raises(OperationalError, match="the disk is gone"):
        Dispatcher().round()
    assert wiring.limits().held("batches") == 0


def test_what_the_broker_does_not_take_is_given_back(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks import dispatch, pipeline

    def fail(*_: Any, **__: Any) -> None:
        raise pipeline.NotPublished("the broker is gone")

    inject([cast.message("you@example.org", "you@example.net")])
    monkeypatch.setattr(pipeline, "start", fail)
    with pytest.raises(pipeline.NotPublished):
        dispatch.Dispatcher().round()
    assert set(Recipient.objects.values_list("state", flat=True)) == {"scheduled"}
    assert wiring.limits().held("batches") == 0
