"""What settling counts for a warming source, and what it leaves alone."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import pytest

from mta.control import warmup as orders
from mta.delivery.warmup_days import decide_all
from mta.egress.models import Source, WarmupDay, WarmupState
from mta.spool import settle, waiting
from mta.spool.models import Lane
from mta.spool.result import Result
from mta.storage.fields import now_ms, to_ms
from tests.cast import Cast
from tests.state.egress.warming import TODAY, day, state, warming_source
from tests.state.spool import desk

AT = to_ms(datetime(2026, 3, 20, 23, 59, tzinfo=UTC))


def settled(cast: Cast, source: Source, *kinds: tuple[str, str], at: int = AT, **own: str) -> None:
    """Settle one batch: an (outcome, bounce class) for each recipient."""
    desk.injected(cast, *(f"r{number}@x.test" for number in range(len(kinds))))
    held = desk.take("x.test")
    context = desk.context(
        cast, held.token, "x.test", source_id=source.pk, source_name=source.name,
        site="mx.x.test", provider=own.get("provider", "google"),
    )  # fmt: skip
    results = [
        Result(rid, outcome, reply="550 no", text="no", code=550, bounce_class=name, at=at,
               permanent=outcome == "bounced", stage=own.get("stage", ""))
        for rid, (outcome, name) in zip(held.recipient_ids, kinds, strict=True)
    ]  # fmt: skip
    (done,) = settle.settle_many(
        [settle.Settlement(context, results, desk.schedule)], random.Random(1)
    )
    assert done.settled == len(kinds)


KINDS = [
    ("delivered", ""), ("delivered", ""), ("deferred", "rate_limited"), ("deferred", "greylisted"),
    ("bounced", "reputation"), ("bounced", "bad_mailbox"),
]  # fmt: skip


def test_a_warming_source_is_counted(cast: Cast) -> None:
    settled(cast, warming_source(), *KINDS)
    row = WarmupDay.objects.get()
    assert (row.reach, str(row.day), row.cap) == ("google", "2026-03-20", 50)
    assert (row.attempted, row.delivered, row.deferred, row.blocked) == (5, 2, 1, 1)
    assert WarmupState.objects.get().reach == "google"


def test_a_site_without_provider_is_its_own_reach(cast: Cast) -> None:
    settled(cast, warming_source(), ("delivered", ""), provider="")
    assert WarmupDay.objects.get().reach == "mx.x.test"


def test_a_source_without_schedule_is_not_counted(cast: Cast) -> None:
    warming_source()
    settled(cast, cast.source, *KINDS)
    assert WarmupDay.objects.count() == WarmupState.objects.count() == 0


def test_our_own_refusals_are_not_counted(cast: Cast) -> None:
    settled(cast, warming_source(), ("bounced", "policy"), ("postponed", ""), stage="local")
    assert WarmupDay.objects.count() == 0


def test_a_batch_over_midnight_is_two_days(cast: Cast) -> None:
    source = warming_source()
    settled(cast, source, ("delivered", ""))
    settled(cast, source, ("delivered", ""), at=AT + 120_000)
    assert {str(row.day) for row in WarmupDay.objects.all()} == {"2026-03-20", "2026-03-21"}


@pytest.mark.parametrize("gate", ["warmup:cold:google:2026-03-20", "warmup-spread:cold:google"])
def test_an_order_wakes_the_mail_that_waits_for_the_cap(cast: Cast, gate: str) -> None:
    desk.injected(cast, "a@x.test", "b@y.test")
    midnight = now_ms() + 3_600_000
    x, y = desk.lane("x.test").pk, desk.lane("y.test").pk
    waiting.put_off(
        [waiting.PutOff(x, midnight, gate, "used up"), waiting.PutOff(y, midnight, "other", "no")]
    )
    made = state(warming_source(), stage=1)
    orders.order(
        made.pk, "advance", by="olga", reason="why", now=datetime(2026, 3, 20, 9, tzinfo=UTC)
    )
    rows: dict[str, Any] = dict(Lane.objects.values_list("domain", "wait_until"))
    assert 0 < to_ms(rows["x.test"]) - now_ms() < 4000
    assert to_ms(rows["y.test"]) == midnight


def test_a_new_stage_wakes_it_too(cast: Cast) -> None:
    desk.injected(cast, "a@x.test")
    gate = "warmup:cold:google:2026-03-21"
    waiting.put_off([waiting.PutOff(desk.lane("x.test").pk, now_ms() + 3_600_000, gate, "used up")])
    source = warming_source()
    state(source, last_sent_on=TODAY)
    day(source, TODAY, cap=50, attempted=50, delivered=50)
    decide_all(datetime(2026, 3, 21, 0, 6, tzinfo=UTC))
    wakes: Any = Lane.objects.get().wait_until
    assert 0 < to_ms(wakes) - now_ms() < 4000
