"""Sending a batch: what goes out, what comes back, and what is left alone."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import dkim as dkimpy
import pytest

from mta.delivery import seal
from mta.delivery.batch import Batch, Outcome, Path
from mta.delivery.judge import judge
from mta.delivery.path_limits import warmup_counter
from mta.delivery.ways import today
from mta.limits.egress import Bucket, Counter
from mta.mail import dkim
from mta.mail.spec import Spec
from mta.spool import claim
from mta.spool.models import Attempt, Recipient
from mta.storage.fields import now_ms, to_ms
from mta.tenants.models import DkimKey, SendingDomain
from tests.cast import Cast
from tests.effects.delivery.worker import Worker
from tests.services.processes import wait_until
from tests.state.spool import desk

pytestmark = pytest.mark.django_db
TO = [f"u{n}@x.test" for n in range(6)]


def test_a_batch_is_sent_and_settled(cast: Cast, worker: Worker) -> None:
    addresses = worker.world.add_site("x.test")
    desk.injected(cast, *TO, envid="e1", ret="HDRS")
    batch = worker.sent(worker.batch(cast, "x.test", addresses))
    assert {(o.kind, o.stage, o.code) for o in batch.outcomes} == {("", "dot", 250)}
    assert worker.custody.journal.open_batches()[batch.token].replies != []
    assert sorted(worker.world.times_accepted().items()) == [(to, 1) for to in TO]
    assert judge([batch], random.Random(1))[0].by_outcome == {"delivered": 6}
    assert Attempt.objects.filter(mx_address=addresses[0], mx_host="mx1.x.test").count() == 6
    assert worker.limits.held("batches") == 0
    assert desk.broken() == []
    assert worker.world.site("x.test").connections == 1


def test_what_was_signed_is_what_arrives(
    cast: Cast, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seal, "_by_domain", {})
    monkeypatch.setattr(seal, "_loaded", {})
    pem = dkim.generate(dkim.ED25519)
    record = dkim.dns_record(pem)
    DkimKey.objects.create(
        sending_domain=SendingDomain.objects.get(domain="acme.test"), selector="s1",
        algorithm=dkim.ED25519, private_key=pem, dns_record=record,
    )  # fmt: skip
    addresses = worker.world.add_site("x.test")
    content = Spec(from_="n@acme.test", subject="For {{ to }}", text="Hi").to_json()
    desk.injected(cast, *TO[:2])
    desk.injected(cast, *TO[2:4], content=content.replace(b"{{ to }}", b"you"), kind="template")
    batch = worker.batch(cast, "x.test", addresses)
    worker.sent(*seal.seal([batch]))
    accepted = worker.world.accepted("x.test")
    assert len(accepted) == 4
    for number in range(len(accepted)):
        received = worker.world.content(number)
        assert received.startswith(b"DKIM-Signature:")
        assert dkimpy.verify(received, dnsfunc=lambda name, timeout=5: record.encode())


RATE = "rate:acme-source:mx1.x.test"


def rate(per_second: float, burst: int) -> tuple[tuple[str, float, int], ...]:
    """The rows of a path whose only limit is a rate."""
    return ((RATE, per_second, burst),)


def warmup(cap: int) -> tuple[tuple[str, int, int, int], ...]:
    one = warmup_counter("acme-source", "mx1.x.test", cap, today())
    return ((one.key, one.limit, one.ttl, one.ends_at),)


def test_the_rate_admits_what_it_admits_and_the_rest_comes_later(
    cast: Cast, worker: Worker
) -> None:
    addresses = worker.world.add_site("x.test")
    desk.injected(cast, *TO)
    batch = worker.sent(worker.batch(cast, "x.test", addresses, buckets=rate(0.01, 4), window=100))
    kinds = [outcome.kind for outcome in batch.outcomes]
    assert kinds == ["", "", "", "", "limited", "limited"]
    assert batch.window == 4
    until = batch.outcomes[-1].until
    assert 90_000 < until - now_ms() < 101_000
    before = dict(Recipient.objects.values_list("pk", "next_attempt_at"))
    (summary,) = judge([batch], random.Random(1))
    assert summary.by_outcome == {"delivered": 4, "limited": 2}
    lane = desk.lane("x.test")
    assert (lane.window, lane.gate) == (4, RATE)
    assert to_ms(lane.wait_until) == to_ms(lane.due_at or lane.wait_until) == until
    assert lane.hold_reason == "limit: the rate a second of acme-source to mx1.x.test is used up"
    waiting = Recipient.objects.filter(state="scheduled")
    assert [(one.attempts, one.next_attempt_at) for one in waiting] == [
        (0, before[one.pk]) for one in waiting
    ]
    assert waiting.count() == 2


def test_a_short_wait_for_the_rate_is_waited(cast: Cast, worker: Worker) -> None:
    addresses = worker.world.add_site("x.test")
    desk.injected(cast, *TO)
    batch = worker.sent(worker.batch(cast, "x.test", addresses, buckets=rate(100.0, 2), window=1))
    assert {outcome.code for outcome in batch.outcomes} == {250}
    assert batch.window == 2


def test_a_warmup_cap_sends_the_rest_back_at_once(cast: Cast, worker: Worker) -> None:
    addresses = worker.world.add_site("x.test")
    desk.injected(cast, *TO)
    batch = worker.sent(worker.batch(cast, "x.test", addresses, counters=warmup(2)))
    assert [outcome.kind for outcome in batch.outcomes] == ["", "", *["limited"] * 4]
    assert all(outcome.until <= now_ms() for outcome in batch.outcomes)
    counter = Counter(*warmup(2)[0])
    assert worker.limits.used([counter]) == [2]


def test_units_that_were_not_used_go_back(
    cast: Cast, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.injected(cast, *TO)
    batch = worker.received(worker.batch(cast, "x.test", ["127.0.0.1"], counters=warmup(50)))
    monkeypatch.setattr(worker.connector, "get", broken)
    with pytest.raises(ZeroDivisionError):
        worker.send(batch)
    counter = Counter(*warmup(50)[0])
    assert worker.limits.used([counter]) == [0]


def unexpected(batch: Batch) -> None:
    raise AssertionError(batch)


def broken(path: Any) -> Any:
    raise ZeroDivisionError


def test_a_peer_that_hangs_up_between_messages_gets_the_rest_on_new_connections(
    cast: Cast, worker: Worker
) -> None:
    addresses = worker.world.add_site("x.test", "limit_messages", messages_per_connection=2)
    desk.injected(cast, *TO)
    batch = worker.sent(worker.batch(cast, "x.test", addresses))
    assert [outcome.code for outcome in batch.outcomes] == [250] * 6
    assert worker.world.site("x.test").connections == 3
    assert worker.world.duplicates() == {}


def test_our_own_limit_of_messages_per_connection(cast: Cast, worker: Worker) -> None:
    addresses = worker.world.add_site("x.test")
    desk.injected(cast, *TO)
    batch = worker.sent(worker.batch(cast, "x.test", addresses, messages_per_connection=4))
    assert [outcome.code for outcome in batch.outcomes] == [250] * 6
    assert worker.world.site("x.test").connections == 2


def test_a_kept_connection_that_carried_too_much_for_this_path_is_not_used(
    cast: Cast, worker: Worker
) -> None:
    addresses = worker.world.add_site("x.test")
    desk.injected(cast, *TO[:4])
    worker.sent(worker.batch(cast, "x.test", addresses))
    desk.injected(cast, *TO)
    batch = worker.sent(worker.batch(cast, "x.test", addresses, messages_per_connection=2))
    assert [outcome.code for outcome in batch.outcomes] == [250] * 6
    assert worker.world.site("x.test").connections == 1 + 3


def test_a_refusal_is_one_recipients_own(cast: Cast, worker: Worker) -> None:
    addresses = worker.world.add_site("x.test", "reject")
    desk.injected(cast, *TO[:2])
    batch = worker.sent(worker.batch(cast, "x.test", addresses))
    assert [(o.stage, o.code, o.enhanced) for o in batch.outcomes] == [("rcpt", 550, "5.1.1")] * 2
    assert judge([batch], random.Random(1))[0].by_outcome == {"bounced": 2}


def test_a_connection_that_breaks_leaves_one_in_doubt(cast: Cast, worker: Worker) -> None:
    addresses = worker.world.add_site("x.test", "accept_then_drop")
    desk.injected(cast, *TO)
    batch = worker.sent(worker.batch(cast, "x.test", addresses))
    (summary,) = judge([batch], random.Random(1))
    assert set(summary.by_outcome) <= {"delivered", "deferred"}
    # Each was accepted once; what was cut off at its dot is in doubt and will come again.
    assert set(worker.world.times_accepted().values()) == {1}
    assert summary.by_outcome.get("deferred", 0) == worker.world.site("x.test").refusals["dot drop"]


def test_no_host_answers(cast: Cast, worker: Worker) -> None:
    addresses = worker.world.add_site("x.test", "down")
    desk.injected(cast, *TO[:2])
    batch = worker.sent(worker.batch(cast, "x.test", addresses))
    assert [(o.stage, o.code, o.mx_host) for o in batch.outcomes] == [
        ("connect", 0, "mx1.x.test")
    ] * 2
    (summary,) = judge([batch], random.Random(1))
    assert summary.by_outcome == {"deferred": 2}
    assert desk.lane("x.test").last_reply != ""


def test_full_connections_put_off_without_an_attempt(
    cast: Cast, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mta.delivery.lessor.PATIENCE", 0.05)
    desk.injected(cast, *TO[:2])
    batch = worker.sent(worker.batch(cast, "x.test", ["127.0.0.1"], connections=0))
    assert [outcome.kind for outcome in batch.outcomes] == ["limited"] * 2
    assert judge([batch], random.Random(1))[0].by_outcome == {"limited": 2}
    assert not Attempt.objects.exists()


def test_one_that_does_not_render_does_not_hold_up_the_others(cast: Cast, worker: Worker) -> None:
    addresses = worker.world.add_site("x.test")
    content = Spec(from_="n@acme.test", subject="{{ missing }}", text="Hi").to_json()
    desk.injected(cast, TO[0], content=content, kind="template")
    desk.injected(cast, *TO[1:])
    batch = worker.sent(*seal.seal([worker.batch(cast, "x.test", addresses)]))
    (summary,) = judge([batch], random.Random(1))
    assert summary.by_outcome == {"deferred": 1, "delivered": 5}
    assert "missing" in Attempt.objects.get(outcome="deferred").reply


def test_a_claim_that_ended_by_our_clock_sends_nothing(cast: Cast, worker: Worker) -> None:
    addresses = worker.world.add_site("x.test")
    desk.injected(cast, *TO)
    batch = worker.received(worker.batch(cast, "x.test", addresses))
    worker.custody.ends[batch.token] = 0.0
    sent = worker.send(batch)
    assert {outcome.kind for outcome in sent.outcomes} == {"limited"}
    assert worker.world.total == 0


def test_what_the_batch_lost_is_not_sent(cast: Cast, worker: Worker) -> None:
    addresses = worker.world.add_site("x.test")
    first, *_ = desk.injected(cast, *TO[:2]).recipient_ids
    batch = worker.received(worker.batch(cast, "x.test", addresses))
    claim.give_back(batch.token, only=[first])
    assert len(worker.send(batch).outcomes) == 1


def test_decided_recipients_and_batches_without_a_path_are_left_alone(
    cast: Cast, worker: Worker
) -> None:
    addresses = worker.world.add_site("x.test")
    desk.injected(cast, *TO[:2])
    batch = worker.received(worker.batch(cast, "x.test", addresses))
    pathless = replace(batch, path=None)
    assert worker.send(pathless) is pathless
    assert seal.seal([pathless]) == [pathless]
    decided = batch.with_outcomes(Outcome(batch.recipient_ids[0], "suppressed", "local", "s"))
    assert len(worker.send(decided).outcomes) == 2
    assert worker.world.total == 1


def test_many_batches_are_begun_at_once_and_each_ends_once(cast: Cast, worker: Worker) -> None:
    batches = []
    for number in range(5):
        addresses = worker.world.add_site(f"x{number}.test")
        desk.injected(cast, *(f"u{n}@x{number}.test" for n in range(4)))
        batches.append(worker.received(worker.batch(cast, f"x{number}.test", addresses)))
    pathless = replace(batches[0], path=None, token=7)
    ended: list[Batch] = []
    worker.sender.begin([*batches, pathless], ended.append)
    assert worker.sender.wait(20)
    assert worker.sender.under_way() == 0
    assert sorted(batch.token for batch in ended) == sorted(b.token for b in (*batches, pathless))
    assert {len(batch.outcomes) for batch in ended if batch.path} == {4}
    assert worker.world.total == 20
    assert worker.world.duplicates() == {}


def test_a_run_that_meets_a_bug_goes_back_alone(
    cast: Cast, worker: Worker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    batches = []
    for domain in ("x.test", "y.test"):
        addresses = worker.world.add_site(domain)
        desk.injected(cast, f"u@{domain}")
        batches.append(worker.received(worker.batch(cast, domain, addresses)))
    get = worker.connector.get

    async def broken_for_one(path: Path) -> Any:
        return 1 / 0 if path.site == "mx1.x.test" else await get(path)

    monkeypatch.setattr(worker.connector, "get", broken_for_one)
    ended: list[Batch] = []
    worker.sender.begin(batches, ended.append)
    assert worker.sender.wait(20)
    assert [batch.token for batch in ended] == [batches[1].token]
    assert f"batch {batches[0].token} goes back" in caplog.text
    worker.custody.heartbeat()
    assert desk.lane("x.test").hold_reason != ""
    assert desk.states() == {"scheduled": 1, "claimed": 1}


def test_nothing_is_begun_when_the_rows_cannot_be_read(
    cast: Cast, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.injected(cast, *TO[:2])
    batch = worker.received(worker.batch(cast, "x.test", ["127.0.0.1"]))
    monkeypatch.setattr("mta.delivery.send.load_many", broken)
    with pytest.raises(ZeroDivisionError):
        worker.sender.begin([batch], unexpected)
    assert worker.sender.under_way() == 0


def test_a_worker_that_stops_leaves_a_silent_peer_and_returns_the_rest(
    cast: Cast, worker: Worker
) -> None:
    addresses = worker.world.add_site("x.test", "hold_after_dot")
    desk.injected(cast, *TO)
    batch = worker.received(worker.batch(cast, "x.test", addresses))
    sent: list[Batch] = []
    worker.sender.begin([batch], sent.append)
    wait_until(lambda: worker.world.site("x.test").held, 10, "the peer holds its reply back")
    worker.sender.stop()
    worker.connector.close()
    assert worker.sender.wait(10)
    (done,) = sent
    assert [outcome.kind for outcome in done.outcomes] == ["", *["limited"] * 5]
    assert done.outcomes[0].code == 0
    assert worker.limits.held("connections:acme-source:mx1.x.test") == 0


def test_a_worker_that_stops_does_not_wait_for_a_peer_that_never_greets(
    cast: Cast, worker: Worker
) -> None:
    addresses = worker.world.add_site("x.test", "silent")
    desk.injected(cast, *TO)
    batch = worker.received(worker.batch(cast, "x.test", addresses * 3, timeouts=(60.0,) * 9))
    sent: list[Batch] = []
    worker.sender.begin([batch], sent.append)
    wait_until(lambda: worker.world.site("x.test").held, 10, "the peer says nothing")
    worker.sender.stop()
    worker.connector.close()
    assert worker.sender.wait(10)
    (done,) = sent
    assert [outcome.kind for outcome in done.outcomes] == ["limited"] * 6


def test_a_rate_is_not_spent_on_a_dead_host(cast: Cast, worker: Worker) -> None:
    addresses = worker.world.add_site("x.test", "down")
    desk.injected(cast, *TO)
    worker.sent(worker.batch(cast, "x.test", addresses, buckets=rate(0.001, 6)))
    bucket = Bucket(RATE, 0.001, 6)
    assert worker.limits.take(6, buckets=[bucket]).granted == 6
