"""The on_reply hook: what it sees, what it may say, and what becomes of its errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from mta import wiring
from mta.delivery.batch import Batch, Outcome
from mta.delivery.hooks import judged
from mta.policy.hooks import Answered, Hooks
from mta.policy.verdict import Verdict
from tests.cast import Cast

pytestmark = pytest.mark.django_db
BOUNCED = Verdict("bounced", "bad_mailbox", True, "recipient", "suppress", "rfc-5.1.1")
DEFERRED = Verdict("deferred", "greylisted", False, "recipient", "", "greylisting")
DELIVERED = Verdict("delivered", "", False, "recipient", "", "2xx")
OUTCOME = Outcome(7, "", "rcpt", "no such user", 550, "5.1.1")


@pytest.fixture
def batch(cast: Cast) -> Batch:
    return Batch(
        token=1, lane_id=1, tenant_id=cast.tenant.pk, stream_id=cast.bulk.pk, domain="x.test",
        recipient_ids=(7,), claimed_at=0,
    )  # fmt: skip


def with_hook(monkeypatch: pytest.MonkeyPatch, hook: Callable[[Any], Any]) -> None:
    monkeypatch.setattr(wiring, "hooks", lambda: Hooks("policies", on_reply=hook))


def test_without_a_hook(batch: Batch) -> None:
    assert judged(BOUNCED, OUTCOME, batch, 0) is BOUNCED


def test_what_the_hook_sees(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Answered] = []
    with_hook(monkeypatch, asked.append)
    assert judged(BOUNCED, OUTCOME, batch, 3) is BOUNCED
    assert asked == [
        Answered(
            "acme", "bulk", "x.test", "", "", "", "rcpt", 550, "5.1.1", "no such user", 3, BOUNCED
        )
    ]


def test_a_delivery_is_nothing_to_discuss(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    with_hook(monkeypatch, lambda _: BOUNCED)
    assert judged(DELIVERED, OUTCOME, batch, 0) is DELIVERED


def test_another_verdict(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    with_hook(monkeypatch, lambda _: DEFERRED)
    assert judged(BOUNCED, OUTCOME, batch, 0) is DEFERRED


def fails(_: Answered) -> None:
    raise KeyError("x")


@pytest.mark.parametrize("hook", [fails, lambda _: "bounced", lambda _: DELIVERED])
@pytest.mark.parametrize("verdict", [BOUNCED, DEFERRED])
def test_a_hook_that_fails_never_bounces(
    hook: Callable[[Any], Any], verdict: Verdict, batch: Batch, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    with_hook(monkeypatch, hook)
    found = judged(verdict, OUTCOME, batch, 0)
    assert (found.outcome, found.permanent, found.action) == ("deferred", False, "")
    assert found == replace(
        verdict, outcome="deferred", permanent=False, action="", rule="policies.on_reply failed"
    )
    assert "policies.on_reply" in caplog.text
