"""The only door in: everything of one call is stored, or nothing is."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import orjson
import pytest
import redis
from django.conf import settings
from django.db import IntegrityError, OperationalError

from mta import wiring
from mta.events.models import Event
from mta.mail.address import parse_address
from mta.spool import bodies, inject, lanes, streams
from mta.spool.load import Outgoing
from mta.spool.models import Body, Lane, Message, Recipient
from mta.storage import transactions
from mta.suppression.models import Suppression
from tests.cast import RAW, Cast
from tests.state.spool import desk

pytestmark = pytest.mark.django_db


def test_a_body_is_stored_once_and_comes_out_as_it_went_in(cast: Cast) -> None:
    inject.inject([cast.message("a@x.test"), cast.message("b@x.test")])
    assert Body.objects.count() == 1
    assert [one.wire() for one in desk.loaded(desk.take("x.test").token)] == [RAW, RAW]


@pytest.mark.parametrize("encrypt", [False, True])
def test_bodies_are_packed_and_encrypted_where_asked(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, encrypt: bool
) -> None:
    monkeypatch.setattr(settings, "MAILMILL", replace(settings.MAILMILL, encrypt_bodies=encrypt))
    content = RAW + b"secret words\r\n" * 100
    desk.injected(cast, "a@x.test", content=content)
    body = Body.objects.get()
    assert body.encrypted is encrypt
    assert len(bytes(body.content)) < len(content) / 2
    assert b"secret" not in bytes(body.content) or not encrypt
    assert bodies.unpack(body) == content


def test_eight_bit_content_is_made_to_survive_every_hop(cast: Cast) -> None:
    content = RAW.replace(b"Hello.", "Grüße".encode()).replace(
        b"Subject", b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nSubject"
    )
    desk.injected(cast, "a@x.test", content=content)
    (outgoing,) = desk.loaded(desk.take("x.test").token)
    assert outgoing.wire().isascii()


def test_suppressed_recipients_are_final_at_once(cast: Cast) -> None:
    Suppression.objects.create(tenant=None, address="bad@x.test", reason="manual")
    Suppression.objects.create(
        tenant=cast.tenant, stream=cast.bulk, address="bulk@x.test", reason="unsubscribe"
    )
    accepted = desk.injected(cast, "Bad@x.test", "bulk@x.test", "good@x.test")
    assert accepted.suppressed == {0}
    assert desk.injected(cast, "bulk@x.test", stream=cast.bulk).suppressed == {0}
    assert desk.states() == {"suppressed": 2, "scheduled": 2}
    kinds = list(Event.objects.order_by("id").values_list("kind", flat=True))
    assert sorted(kinds) == ["reception", "reception", "suppression", "suppression"]
    assert desk.broken() == []


def test_lanes_are_armed_for_the_earliest_of_a_call(cast: Cast) -> None:
    later = time.time() + 500
    inject.inject([cast.message("a@x.test", send_at=later), cast.message("b@x.test")])
    due = desk.lane("x.test").due_at
    assert due is not None
    assert due.timestamp() < time.time() + 1
    inject.inject([cast.message("a@y.test", send_at=later)])
    inject.inject([cast.message("a@y.test", send_at=later + 500)])
    due = desk.lane("y.test").due_at
    assert due is not None
    assert abs(due.timestamp() - later) < 0.01
    assert Lane.objects.count() == 2


def test_many_lanes_in_one_call(cast: Cast) -> None:
    desk.injected(cast, *(f"a@d{n}.test" for n in range(1100)))
    assert Lane.objects.count() == 1100
    assert desk.broken() == []


def test_the_end_of_life(cast: Cast) -> None:
    now = time.time()
    desk.injected(cast, "a@x.test", stream=cast.bulk)
    desk.injected(cast, "a@x.test", send_at=now + 1000)
    desk.injected(cast, "a@x.test", expires_at=now + 60)
    desk.injected(cast, "a@x.test", expires_at=now - 60)
    lives = [m.expires_at.timestamp() - now for m in Message.objects.order_by("id")]
    assert lives == pytest.approx([120 * 3600, 24 * 3600 + 1000, 60, 0], abs=2)


def test_a_failure_stores_nothing(cast: Cast) -> None:
    def fail(_: list[inject.Accepted]) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        inject.inject([cast.message("a@x.test")], also=fail)
    assert not Message.objects.exists()
    assert not Lane.objects.exists()
    assert inject.inject([]) == []


def test_ids_that_another_process_drew_are_drawn_again(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = desk.injected(cast, "a@x.test").message_id
    drawn = iter([taken, taken + 7_000_001, taken])
    monkeypatch.setattr(inject, "new_id", lambda: next(drawn))
    assert desk.injected(cast, "b@x.test").message_id == taken + 7_000_001
    with pytest.raises(IntegrityError):  # the caller has told the id already
        desk.injected(cast, "b@x.test", message_id=taken)


def test_the_dispatcher_is_rung(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    rung: list[int] = []
    monkeypatch.setattr(wiring, "nudge", lambda: Bell(rung))
    desk.injected(cast, "a@x.test")
    assert rung == [1]


def test_redis_away_does_not_refuse_mail(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(wiring, "nudge", away)
    desk.injected(cast, "a@x.test")
    assert desk.states() == {"scheduled": 1}
    assert "dispatcher not nudged" in caplog.text


class Bell:
    def __init__(self, rung: list[int]) -> None:
        self.rung = rung

    def ring(self) -> None:
        self.rung.append(1)


def away() -> Any:
    raise redis.ConnectionError


def test_what_the_envelope_asks_for_is_kept(cast: Cast) -> None:
    message = cast.message(envid="e", ret="HDRS", smtputf8=True, subject="s" * 300)
    to = inject.NewRecipient(
        parse_address("a@x.test"), {"k": 1}, {"m": 2}, "FAILURE", "rfc822;b@y.test"
    )
    fields = {name: getattr(message, name) for name in message.__slots__}
    inject.inject([inject.NewMessage(**{**fields, "recipients": [to]})])
    (outgoing,) = desk.loaded(desk.take("x.test").token)
    assert isinstance(outgoing, Outgoing)
    assert (outgoing.notify, outgoing.orcpt, outgoing.envid, outgoing.ret) == (
        "FAILURE", "rfc822;b@y.test", "e", "HDRS",
    )  # fmt: skip
    assert outgoing.smtputf8 is True
    assert outgoing.substitutions == orjson.dumps({"k": 1})
    assert Recipient.objects.get().metadata == '{"m":2}'
    assert len(Message.objects.get().subject) == 200


def test_streams_are_remembered_for_a_while(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_known", {})
    facts = streams.stream_facts(cast.bulk.pk)
    assert (facts.priority, facts.life_seconds, facts.name) == (2, 120 * 3600, "bulk")
    cast.bulk.sends_dsn = False
    cast.bulk.save()
    assert streams.stream_facts(cast.bulk.pk) is facts
    monkeypatch.setattr(streams, "_known", {})
    assert streams.stream_facts(cast.bulk.pk).sends_dsn is False


def test_bodies_kept_ready_stay_within_their_bytes(cast: Cast) -> None:
    kept = bodies.Bodies(limit=1000)
    for number in range(8):
        desk.injected(cast, "a@x.test", content=RAW + b"x" * 100 + b"%d\r\n" % number)
    digests = list(Body.objects.values_list("digest", flat=True))
    for digest in digests:
        assert kept.get([digest])
    assert kept.size <= 1000
    assert 0 < len(kept.ready) < 8
    assert kept.get(digests).keys() == set(digests)
    kept.keep(next(iter(kept.ready)), b"", 0)
    kept.keep("large", b"", 999)
    assert "large" not in kept.ready
    with pytest.raises(LookupError, match="bodies missing"):
        kept.get(["0" * 64])


def test_a_lost_lock_is_tried_for_again_and_anything_else_is_not(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    tries: list[int] = []

    def locked() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise OperationalError("database is locked")
        return "done"

    assert transactions.write(locked) == "done"

    def always() -> None:
        tries.append(1)
        raise OperationalError("deadlock detected")

    tries.clear()
    with pytest.raises(OperationalError):
        transactions.write(always)
    assert len(tries) == transactions.TRIES

    def other() -> None:
        tries.append(1)
        raise OperationalError("disk I/O error")

    tries.clear()
    with pytest.raises(OperationalError):
        transactions.write(other)
    assert len(tries) == 1


def test_engaged_recipients_of_bulk_mail_wait_in_a_lane_of_their_own(cast: Cast) -> None:
    to = [inject.NewRecipient(parse_address("keen@x.test"), engaged=True),
          inject.NewRecipient(parse_address("calm@x.test"))]  # fmt: skip
    for stream in (cast.bulk, cast.transactional):
        message = replace(cast.message("a@x.test", stream=stream), recipients=to)
        inject.inject([message])
    found = Recipient.objects.values_list("address", "lane__stream__name", "lane__priority")
    assert set(found) == {
        ("keen@x.test", "bulk", lanes.ENGAGED),
        ("calm@x.test", "bulk", lanes.BULK),
        ("keen@x.test", "transactional", lanes.TRANSACTIONAL),
        ("calm@x.test", "transactional", lanes.TRANSACTIONAL),
    }
    assert Lane.objects.count() == 3
