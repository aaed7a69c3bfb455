"""Several batches settled in one transaction: each as it would be alone, and none sinks another."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.db import OperationalError
from django.test.testcases import TestCase

from mta.events import contract
from mta.events.models import Event
from mta.mail.address import parse_address
from mta.observe import maillog
from mta.spool import claim, inject, settle
from mta.spool.claim import Claim, Want
from mta.spool.models import Attempt, Recipient
from mta.spool.models import Claim as ClaimRow
from mta.spool.result import Result
from mta.spool.settle import SettleError, Settlement, Summary, settle_many
from tests.cast import Cast
from tests.state.spool import desk

pytestmark = pytest.mark.django_db


def settlement(cast: Cast, held: Claim, domain: str, outcome: str, **values: Any) -> Settlement:
    return Settlement(
        desk.context(cast, held.token, domain),
        [desk.result(rid, outcome, **values) for rid in held.recipient_ids],
        desk.schedule,
    )


def taken(*domains: str, limit: int = 100) -> list[Claim]:
    wants = [Want(desk.lane(domain).pk, limit, claim.new_token()) for domain in domains]
    found = {one.lane_id: one for one in claim.claim_many(wants, seconds=60)}
    return [found[want.lane_id] for want in wants]


def test_batches_of_several_lanes(cast: Cast) -> None:
    desk.injected(cast, "a@x.test", "b@x.test", "c@y.test", "d@z.test", "e@z.test")
    x, y, z = taken("x.test", "y.test", "z.test")
    some = settlement(cast, z, "z.test", "deferred")
    sums = settle_many(
        [
            settlement(cast, x, "x.test", "delivered"),
            settlement(cast, y, "y.test", "bounced"),
            replace(some, results=some.results[:1]),
        ],
        random.Random(1),
    )
    assert [one.by_outcome for one in sums] == [{"delivered": 2}, {"bounced": 1}, {"deferred": 1}]
    assert [one.dsns for one in sums] == [0, 1, 0]
    assert desk.broken() == []
    assert set(ClaimRow.objects.values_list("token", flat=True)) == {z.token}
    assert desk.lane("x.test").last_reply == "250 2.0.0 ok"
    assert desk.lane("z.test").due_at == desk.row(z.recipient_ids[0]).next_attempt_at
    assert settle_many([settlement(cast, z, "z.test", "delivered")], random.Random(1)) == [
        Summary(1, {"delivered": 1}, tallied={("", "delivered"): 1})
    ]
    assert not ClaimRow.objects.exists()


def test_two_batches_of_one_lane(cast: Cast) -> None:
    desk.injected(cast, *(f"u{n}@x.test" for n in range(5)))
    lane = desk.lane("x.test").pk
    first, second = claim.claim_many([Want(lane, 2, 11), Want(lane, 2, 12)], seconds=60)
    assert not set(first.recipient_ids) & set(second.recipient_ids)
    assert (len(first.recipient_ids), len(second.recipient_ids)) == (2, 2)
    assert first.more
    assert second.more
    late = desk.result(second.recipient_ids[0], "deferred")
    settle_many(
        [settlement(cast, first, "x.test", "deferred"),
         Settlement(desk.context(cast, 12, "x.test"), [late], desk.schedule)],
        random.Random(1),
    )  # fmt: skip
    assert desk.broken() == []
    assert desk.states() == {"scheduled": 1, "deferred": 3, "claimed": 1}


def test_a_result_given_twice_counts_once(cast: Cast) -> None:
    desk.injected(cast, "a@x.test")
    (held,) = taken("x.test")
    one = settlement(cast, held, "x.test", "delivered")
    twice = replace(one, results=[*one.results, desk.result(held.recipient_ids[0], "bounced")])
    assert [s.settled for s in settle_many([twice, one], random.Random(1))] == [1, 0]
    assert desk.broken() == []


def poison(result: Result) -> Result:
    """An instant that no column takes."""
    return result._replace(at=2**70)


@pytest.mark.parametrize("outcome", ["delivered", "bounced"])
def test_a_poisoned_batch_does_not_sink_the_others(cast: Cast, outcome: str) -> None:
    desk.injected(cast, "a@x.test", "b@y.test", "c@z.test")
    held = taken("x.test", "y.test", "z.test")
    all_ = [
        settlement(cast, one, domain, outcome)
        for one, domain in zip(held, ("x.test", "y.test", "z.test"), strict=True)
    ]
    all_[1] = replace(all_[1], results=[poison(one) for one in all_[1].results])
    with pytest.raises(SettleError) as caught:
        settle_many(all_, random.Random(1))
    assert caught.value.tokens == (held[1].token,)
    assert [one is None for one in caught.value.summaries] == [False, True, False]
    assert caught.value.__cause__ is not None
    assert desk.states().get(outcome) == 2
    assert desk.states()["claimed"] == 1
    assert desk.broken() == []


def test_an_outage_settles_nothing(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.injected(cast, "a@x.test")
    (held,) = taken("x.test")

    def away(*_: Any) -> None:
        raise OperationalError("the disk is full")

    monkeypatch.setattr(settle, "mark_delivered", away)
    with pytest.raises(OperationalError):
        settle_many([settlement(cast, held, "x.test", "delivered")], random.Random(1))
    assert desk.states() == {"claimed": 1}
    assert settle_many([], random.Random(1)) == []


def told(rid: int) -> tuple[Any, ...]:
    """Everything that a settlement wrote of a recipient."""
    (recipient,) = Recipient.objects.filter(pk=rid).values(
        "state", "attempts", "next_attempt_at", "claim_token", "source_id", "last_reply",
        "bounce_class",
    )  # fmt: skip
    attempt = Attempt.objects.filter(recipient_id=rid).values().get()
    event = Event.objects.get(recipient_id=rid, kind="delivery")
    fields = contract.fields(event.data)
    for volatile in ("to", "queued_ms"):
        fields.pop(volatile)
    names = ("id", "recipient_id", "at")
    return recipient, {k: v for k, v in attempt.items() if k not in names}, fields


@pytest.mark.parametrize(
    ("of_message", "of_recipient", "of_result"),
    [
        ({}, {}, {}),
        ({"campaign": "c", "tags": ["a", 'b"'], "metadata": {"n": 1, "m": "ü"}}, {},
         {"tls": "TLSv1.3 x", "took_ms": 0, "mx_host": "mx1", "mx_address": "::1", "rule": "r"}),
        ({"metadata": {"n": 1}}, {"metadata": {"n": 2, "k": []}}, {"reply": "250 " + "x" * 2000}),
        ({"tags": ["only"]}, {}, {"enhanced": "2.1.5", "scope": "message", "took_ms": -3}),
    ],
)  # fmt: skip
def test_the_quick_way_of_deliveries_writes_what_the_general_way_writes(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    of_message: dict[str, Any], of_recipient: dict[str, Any], of_result: dict[str, Any],
) -> None:  # fmt: skip
    monkeypatch.setattr(maillog, "_state", {})
    maillog.open_file(tmp_path / "mail.log")
    addresses = ("quick@x.test", "slow@x.test")
    to = [inject.NewRecipient(parse_address(one), **of_recipient) for one in addresses]
    message = replace(cast.message(**of_message), recipients=to)
    quick, slow = inject.inject([message])[0].recipient_ids
    for rid in (quick, slow):
        if rid == slow:
            monkeypatch.setattr(settle, "plain", lambda _: False)
        (held,) = taken("x.test", limit=1)
        assert held.recipient_ids == (rid,)
        with TestCase.captureOnCommitCallbacks(execute=True):
            settle_many(
                [settlement(cast, held, "x.test", "delivered", **of_result)], random.Random(1)
            )
    assert told(quick) == told(slow)
    lines = [orjson.loads(line) for line in (tmp_path / "mail.log").read_bytes().splitlines()]
    one, two = [line for line in lines if line["kind"] == "delivery"]
    for line in (one, two):
        known = {"at", "kind", "id", "recipient", "to", "tenant", "reply"}
        assert line.keys() <= known | contract.ALWAYS.keys() | contract.WITH_REPLY.keys()
        for name in ("at", "recipient", "to", "queued_ms", "took_ms"):
            line.pop(name, None)
    assert one == two
    assert "metadata" not in one
