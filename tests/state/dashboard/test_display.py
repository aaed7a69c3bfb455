"""How times and labels read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from dashboard import display
from mta.events.models import Kind
from mta.policy.lifecycle import State
from mta.spool.ids import made_at, new_id


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"), (1, "1 s"), (59, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"),
        (5400, "1 h 30 min"), (36_000, "10 h"), (86_400, "1 d"), (95_000, "1 d 2 h"),
        (86_400 * 12, "12 d"), (-120, "2 min"),
    ],
)  # fmt: skip
def test_span(seconds: float, text: str) -> None:
    assert display.span(seconds) == text


def test_ago_knows_past_and_future() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert display.ago(now, now) == "now"
    assert display.ago(now - timedelta(minutes=3), now) == "3 min ago"
    assert display.ago(now + timedelta(hours=2), now) == "in 2 h"


def test_an_instant_tells_the_exact_time() -> None:
    text = display.instant(datetime(2026, 1, 1, 12, 30, tzinfo=UTC))
    assert 'title="2026-01-01 12:30:00 UTC"' in text
    assert display.instant(None) == display.DASH


def test_an_id_tells_when_it_was_made() -> None:
    made = made_at(new_id())
    assert abs((datetime.now(UTC) - made).total_seconds()) < 10


def test_every_state_and_kind_has_a_colour() -> None:
    assert {*State, *Kind.values} <= set(display.TONES)


def test_what_peers_say_is_escaped() -> None:
    hostile = "550 <script>alert(1)</script>" + "x" * 100
    for text in (display.clipped(hostile), display.label(hostile), display.pretty_json([hostile])):
        assert "<script" not in text
