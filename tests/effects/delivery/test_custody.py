"""Custody: who dies, stalls or meets a bug loses no reply and sends nothing twice."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest
import redis
from django.db import OperationalError

from mta import wiring
from mta.delivery import custody as custody_module
from mta.delivery.batch import Batch, Outcome
from mta.delivery.custody import Custody, recover
from mta.delivery.judge import judge
from mta.limits.egress import Limits
from mta.spool import claim
from mta.storage.fields import now_ms
from tests.cast import Cast
from tests.cast import held as held_by
from tests.effects.delivery.worker import Worker
from tests.services.processes import wait_until
from tests.state.spool import desk

pytestmark = pytest.mark.django_db
TO = [f"u{n}@x.test" for n in range(3)]


@pytest.fixture
def batch(cast: Cast, worker: Worker) -> Batch:
    """Three recipients that the worker has received."""
    desk.injected(cast, *TO)
    return worker.received(worker.batch(cast, "x.test", ["127.0.0.1"]))


def ok(recipient_id: int) -> Outcome:
    return Outcome(recipient_id, "", "dot", "ok", 250, at=now_ms())


def killed(worker: Worker) -> None:
    """The kernel drops a dead process's lock; what it wrote stays."""
    journal = worker.custody.journal
    os.close(journal.file)
    journal.file = os.open(os.devnull, os.O_WRONLY)


def test_a_successor_settles_what_was_read_and_returns_the_rest(
    worker: Worker, batch: Batch, limits: Limits
) -> None:
    worker.custody.reply(batch.token, ok(batch.recipient_ids[0]))
    killed(worker)
    assert recover(worker.custody.folder) == 1
    assert desk.states() == {"delivered": 1, "scheduled": 2}
    assert desk.broken() == []
    assert limits.held("batches") == limits.held("batches:x.test") == 0
    assert recover(worker.custody.folder) == 0
    assert len(desk.take("x.test").recipient_ids) == 2


def test_outcomes_of_earlier_stages_count_too(worker: Worker, batch: Batch) -> None:
    worker.custody.journal.closed(batch.token)
    first, second, _ = batch.recipient_ids
    known = batch.with_outcomes(Outcome(first, "suppressed", "local", "s", at=now_ms()))
    worker.custody.receive([known.to_json()])
    worker.custody.reply(batch.token, ok(first))
    worker.custody.reply(batch.token, ok(second))
    killed(worker)
    recover(worker.custody.folder)
    assert desk.states() == {"suppressed": 1, "delivered": 1, "scheduled": 1}


def test_a_batch_of_another_version_goes_back(
    worker: Worker, batch: Batch, limits: Limits, caplog: pytest.LogCaptureFixture
) -> None:
    worker.custody.journal.closed(batch.token)
    worker.custody.receive([{**batch.to_json(), "version": 99}])
    killed(worker)
    assert recover(worker.custody.folder) == 1
    assert desk.states() == {"scheduled": 3}
    assert "of another version" in caplog.text


def test_a_batch_that_cannot_be_settled_keeps_its_journal_and_holds_up_no_other(
    cast: Cast, worker: Worker, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.injected(cast, "o@y.test")
    other = worker.received(worker.batch(cast, "y.test", ["127.0.0.1"]))
    for one in (batch, other):
        worker.custody.reply(one.token, ok(one.recipient_ids[0]))
    killed(worker)
    monkeypatch.setattr(custody_module, "judge", broken_for(batch.token))
    recover(worker.custody.folder)
    assert desk.states() == {"claimed": 3, "delivered": 1}
    monkeypatch.setattr(custody_module, "judge", judge)
    recover(worker.custody.folder)
    assert desk.states() == {"delivered": 2, "scheduled": 2}


def broken_for(token: int) -> Any:
    def broken(batches: list[Batch], rng: random.Random) -> Any:
        if any(batch.token == token for batch in batches):
            raise ZeroDivisionError
        return judge(batches, rng)

    return broken


def test_recovery_is_tried_again_when_the_database_is_away(
    worker: Worker, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker.custody.reply(batch.token, ok(batch.recipient_ids[0]))
    killed(worker)

    def away(*_: object) -> None:
        raise OperationalError("away")

    monkeypatch.setattr(custody_module, "judge", away)
    with pytest.raises(OperationalError):
        recover(worker.custody.folder)
    monkeypatch.setattr(custody_module, "judge", judge)
    assert recover(worker.custody.folder) == 1


def test_the_heartbeat_keeps_claims_and_slots(worker: Worker, batch: Batch, limits: Limits) -> None:
    worker.custody.ends[batch.token] = 0.0
    wiring.limits().release([worker.custody.turn(batch.token)])
    worker.custody.heartbeat()
    assert worker.custody.holds(batch.token)
    assert limits.held(f"taken:deliver:{batch.token}") == 1
    assert limits.held("batches:x.test") == 1
    assert held_by(batch.token) == list(batch.recipient_ids)


def test_the_heartbeat_lets_go_of_what_is_settled(worker: Worker, batch: Batch) -> None:
    worker.custody.pass_on([batch.token], vouch=True)
    judge([batch.with_outcomes(*map(ok, batch.recipient_ids))], random.Random(1))
    worker.custody.heartbeat()
    assert worker.custody.journal.open_batches() == {}
    assert not worker.custody.holds(batch.token)


def test_a_batch_that_the_broker_lost_is_settled_from_here(worker: Worker, batch: Batch) -> None:
    worker.custody.reply(batch.token, ok(batch.recipient_ids[0]))
    worker.custody.pass_on([batch.token], vouch=True)
    worker.custody.heartbeat()
    assert desk.states() == {"claimed": 3}, "the next stage has its time"
    worker.custody.claim_seconds = 0.0
    worker.custody.heartbeat()
    assert desk.states() == {"delivered": 1, "scheduled": 2}


def test_a_batch_that_met_an_error_comes_again_after_a_pause(
    worker: Worker, batch: Batch, limits: Limits
) -> None:
    worker.custody.reply(batch.token, ok(batch.recipient_ids[0]))
    worker.custody.failed(batch.token)
    worker.custody.heartbeat()
    assert desk.states() == {"delivered": 1, "scheduled": 2}
    assert desk.take("x.test").recipient_ids == ()
    due = desk.lane("x.test").due_at
    assert due is not None
    assert due.timestamp() * 1000 > now_ms() + 10_000
    assert "error" in desk.lane("x.test").hold_reason
    assert limits.held("batches") == 0


def test_a_bug_in_one_settlement_does_not_end_the_heartbeats(
    cast: Cast, worker: Worker, batch: Batch, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    desk.injected(cast, "o@y.test")
    other = worker.received(worker.batch(cast, "y.test", ["127.0.0.1"]))
    for one in (batch, other):
        worker.custody.reply(one.token, ok(one.recipient_ids[0]))
        worker.custody.failed(one.token)
    monkeypatch.setattr(custody_module, "judge", broken_for(batch.token))
    worker.custody.heartbeat()
    assert desk.states() == {"claimed": 3, "delivered": 1}
    assert list(worker.custody.journal.open_batches()) == [batch.token]
    assert f"batch {batch.token} cannot be settled" in caplog.text


def test_beats_go_on_after_an_outage_and_a_bug(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    troubles = [OperationalError("away"), ZeroDivisionError()]
    beats: list[int] = []

    def chore() -> None:
        beats.append(1)
        if troubles:
            raise troubles.pop()

    monkeypatch.setattr(worker.custody, "heartbeat", lambda: None)
    worker.custody.claim_seconds, worker.custody.chore = 0.01, chore
    worker.custody.start()
    wait_until(lambda: len(beats) > 3, 10, "beats")
    worker.custody.stop(0.0)
    worker.custody.thread.join(10)
    worker.custody.journal.rotate()
    assert not worker.custody.thread.is_alive()


def test_a_claim_that_is_gone_is_not_taken(worker: Worker, batch: Batch) -> None:
    claim.give_back(batch.token)
    assert not worker.custody.take([batch])
    assert worker.custody.journal.open_batches() == {}


def test_a_second_copy_is_dropped_and_the_first_goes_on(
    worker: Worker, batch: Batch, tmp_path: Path
) -> None:
    worker.custody.receive([batch.to_json()])
    assert not worker.custody.take([batch]), "the same process"
    assert batch.token in worker.custody.journal.open_batches()
    another = Custody(tmp_path / "another", "deliver", claim_seconds=60)
    another.receive([batch.to_json()])
    assert not another.take([batch]), "another process"
    assert another.journal.open_batches() == {}
    assert worker.custody.holds(batch.token)
    next_stage = Custody(tmp_path / "next", "classify", claim_seconds=60)
    assert next_stage.take([batch]), "another stage"
    for one in (another, next_stage):
        one.journal.close()


def test_a_stage_that_does_not_vouch_forgets(worker: Worker, batch: Batch) -> None:
    worker.custody.pass_on([batch.token], vouch=False)
    assert worker.custody.journal.open_batches() == {}
    assert not worker.custody.holds(batch.token)


def test_stopping_settles_and_returns(worker: Worker, batch: Batch) -> None:
    worker.custody.reply(batch.token, ok(batch.recipient_ids[0]))
    worker.custody.stop(0.15)
    assert desk.states() == {"delivered": 1, "scheduled": 2}
    assert list(worker.custody.folder.iterdir()) == []
    worker.custody.journal.rotate()


def test_stopping_waits_for_the_next_stage(worker: Worker, batch: Batch) -> None:
    worker.custody.pass_on([batch.token], vouch=True)
    judge([batch.with_outcomes(*map(ok, batch.recipient_ids))], random.Random(1))
    worker.custody.stop(20.0)
    assert desk.states() == {"delivered": 3}
    worker.custody.journal.rotate()


def test_redis_away_costs_a_settled_batch_only_its_slot(
    worker: Worker, batch: Batch, monkeypatch: pytest.MonkeyPatch, limits: Limits
) -> None:
    def away(_: object) -> None:
        raise redis.ConnectionError

    monkeypatch.setattr(limits, "release", away)
    judge([batch.with_outcomes(*map(ok, batch.recipient_ids))], random.Random(1))
    assert desk.states() == {"delivered": 3}
