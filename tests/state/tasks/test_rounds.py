"""Rounds of dispatch: what one claims, in which order, and what stays behind."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from mta import wiring
from mta.delivery.batch import Batch
from mta.spool.inject import inject
from tasks import pipeline
from tasks.dispatch import CLAIMS_A_LANE, Dispatcher
from tests.cast import Cast


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[list[Batch]]:
    """The convoys that were published."""
    found: list[list[Batch]] = []

    def start(convoys: Sequence[Sequence[Batch]]) -> None:
        found.extend(list(convoy) for convoy in convoys)

    monkeypatch.setattr(pipeline, "start", start)
    return found


def people(count: int, domain: str = "x.test") -> list[str]:
    return [f"user{number}@{domain}" for number in range(count)]


def test_small_lanes_travel_together(cast: Cast, sent: list[list[Batch]]) -> None:
    inject([cast.message(*(f"ann@site{number}.test" for number in range(20)))])
    assert Dispatcher().round() == 20
    assert [len(convoy) for convoy in sent] == [20]
    assert len({batch.domain for batch in sent[0]}) == 20


def test_a_large_lane_gives_several_batches_until_its_places_are_taken(
    cast: Cast, sent: list[list[Batch]]
) -> None:
    most = wiring.config().max_batches_per_domain
    inject([cast.message(*people(100 * (most + 3)))])
    dispatcher = Dispatcher()
    assert dispatcher.round() == most
    batches = [batch for convoy in sent for batch in convoy]
    assert {len(batch.recipient_ids) for batch in batches} == {100}
    assert len({rid for batch in batches for rid in batch.recipient_ids}) == 100 * most
    assert wiring.limits().held("batches:x.test") == most
    assert dispatcher.round() == 0


def test_places_that_found_nothing_are_given_back(cast: Cast, sent: list[list[Batch]]) -> None:
    inject([cast.message(*people(100 * CLAIMS_A_LANE // 2 + 1))])
    dispatcher = Dispatcher()
    dispatcher.round()
    batches = [batch for convoy in sent for batch in convoy]
    assert wiring.limits().held("batches") == len(batches) == CLAIMS_A_LANE // 2 + 1
