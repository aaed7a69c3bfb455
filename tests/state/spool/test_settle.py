"""The only door out: states, attempts, events, suppressions and DSNs in one transaction."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import orjson
import pytest

from mta.events.models import Event
from mta.mail.address import parse_address
from mta.mail.spec import Spec
from mta.spool import bodies, failure, inject
from mta.spool.load import BODIES
from mta.spool.models import Attempt, Body, Message, Recipient
from mta.storage.fields import from_ms, now_ms
from mta.suppression.models import Suppression
from tests.cast import Cast
from tests.state.spool import desk

pytestmark = pytest.mark.django_db


def events(recipient_id: int) -> list[tuple[str, dict[str, Any]]]:
    """Kind and fields, without the reception."""
    found = Event.objects.filter(recipient_id=recipient_id).exclude(kind="reception").order_by("id")
    return [(event.kind, orjson.loads(event.data)) for event in found]


def one(cast: Cast, **values: Any) -> int:
    return desk.injected(cast, "a@x.test", **values).recipient_ids[0]


def test_delivered(cast: Cast) -> None:
    rid = one(cast, campaign="may", tags=["t"], metadata={"order": 7})
    summary = desk.settled(cast, desk.take("x.test"), "x.test", "delivered", tls="TLSv1.3 X" * 20)
    assert (summary.settled, summary.by_outcome, summary.next_due_at) == (1, {"delivered": 1}, None)
    row = desk.row(rid)
    assert (row.state, row.attempts, row.last_reply) == ("delivered", 1, "250 2.0.0 ok")
    attempt = Attempt.objects.get(recipient_id=rid)
    assert (attempt.number, attempt.outcome, attempt.source_name) == (1, "delivered", "acme-source")
    ((kind, fields),) = events(rid)
    assert kind == "delivery"
    assert fields["campaign"] == "may"
    assert fields["metadata"] == {"order": 7}
    assert fields["reply"] == {"code": 250, "enhanced": "", "text": "ok"}
    lane = desk.lane("x.test")
    assert (lane.site, lane.last_reply, lane.window) == ("mx.x.test", "250 2.0.0 ok", 50)
    assert lane.last_reply_at is not None
    assert desk.broken() == []


def test_deferred_keeps_its_source_and_arms_the_lane(cast: Cast) -> None:
    rid = one(cast)
    before = now_ms()
    summary = desk.settled(cast, desk.take("x.test"), "x.test", "deferred")
    row = desk.row(rid)
    assert (row.state, row.attempts, row.source_id) == ("deferred", 1, cast.source.pk)
    assert summary.next_due_at is not None
    assert 59_000 < summary.next_due_at - before < 62_000
    ((kind, fields),) = events(rid)
    assert kind == "deferral"
    assert fields["next_attempt_at"] == summary.next_due_at / 1000
    assert desk.broken() == []
    assert desk.take("x.test").recipient_ids == ()
    desk.make_due()
    again = desk.take("x.test")
    assert again.source_id == cast.source.pk
    desk.settled(cast, again, "x.test", "delivered")
    assert list(Attempt.objects.values_list("number", "outcome")) == [
        (1, "deferred"), (2, "delivered"),
    ]  # fmt: skip


def test_bounced_suppresses_and_reports(cast: Cast) -> None:
    rid = one(cast, envid="QQ314159")
    summary = desk.settled(
        cast, desk.take("x.test"), "x.test", "bounced", action="suppress", mx_host="mx1.x.test"
    )
    assert (summary.by_outcome, summary.dsns) == ({"bounced": 1}, 1)
    assert desk.row(rid).bounce_class == "bad_mailbox"
    assert [kind for kind, _ in events(rid)] == ["bounce"]
    suppression = Suppression.objects.get()
    assert (suppression.address, suppression.tenant, suppression.reason) == (
        "a@x.test", cast.tenant, "bad_address",
    )  # fmt: skip
    report = Message.objects.get(origin="dsn")
    assert report.reverse_path == ""
    assert report.recipients.get().address == "bounces@acme.test"
    held = desk.take("acme.test")
    (outgoing,) = desk.loaded(held.token)
    content = outgoing.wire()
    for text in (b"Final-Recipient: rfc822; a@x.test", b"Status: 5.1.1", b"550 5.1.1 no such user",
                 b"Original-Envelope-Id: QQ314159", b"Subject: Hello", b"mx1.x.test"):  # fmt: skip
        assert text.lower() in content.lower(), content.decode()
    assert desk.broken() == []
    # A report that cannot be delivered is not reported: no loop.
    assert desk.settled(cast, held, "acme.test", "bounced").dsns == 0


def test_the_same_bad_address_twice_is_suppressed_once(cast: Cast) -> None:
    Suppression.objects.create(tenant=cast.tenant, address="z@x.test", reason="manual")
    desk.injected(cast, "a@x.test", "A@x.test", "b@x.test")
    desk.settled(cast, desk.take("x.test"), "x.test", "bounced", action="suppress")
    assert sorted(Suppression.objects.values_list("address", flat=True)) == [
        "a@x.test", "b@x.test", "z@x.test",
    ]  # fmt: skip
    assert desk.injected(cast, "a@X.test").suppressed == {0}


def test_one_report_tells_of_all_recipients_of_a_message(cast: Cast) -> None:
    desk.injected(cast, "a@x.test", "b@x.test")
    desk.injected(cast, "c@x.test")
    assert desk.settled(cast, desk.take("x.test"), "x.test", "bounced").dsns == 2
    contents = [one.wire() for one in desk.loaded(desk.take("acme.test").token)]
    told = sorted(sorted(name for name in b"abc" if bytes([name]) + b"@x.test" in content)
                  for content in contents)  # fmt: skip
    assert told == [[*b"ab"], [*b"c"]]


@pytest.mark.parametrize(
    ("of_recipient", "of_context", "reverse_path"),
    [
        ({"notify": "NEVER"}, {}, "bounces@acme.test"),
        ({"notify": "SUCCESS,DELAY"}, {}, "bounces@acme.test"),
        ({}, {"sends_dsn": False}, "bounces@acme.test"),
        ({}, {}, ""),
        ({}, {}, "no address"),
    ],
)
def test_who_is_not_told(
    cast: Cast, of_recipient: dict[str, Any], of_context: dict[str, Any], reverse_path: str
) -> None:
    message = cast.message(reverse_path=reverse_path)
    to = inject.NewRecipient(parse_address("a@x.test"), **of_recipient)
    inject.inject([inject.NewMessage(**{**fields_of(message), "recipients": [to]})])
    held = desk.take("x.test")
    summary = desk.settled_as(
        desk.context(cast, held.token, "x.test", **of_context),
        [desk.result(held.recipient_ids[0], "bounced")]
    )  # fmt: skip
    assert (summary.settled, summary.dsns) == (1, 0)
    assert not Message.objects.filter(origin="dsn").exists()


def fields_of(message: inject.NewMessage) -> dict[str, Any]:
    return {name: getattr(message, name) for name in message.__slots__}


def test_a_report_on_personalised_mail_shows_the_head_of_this_recipient(cast: Cast) -> None:
    content = Spec(
        from_="News <news@acme.test>", subject="Hello {{ name }}", text="Hi {{ name }}"
    ).to_json()
    to = [inject.NewRecipient(parse_address("a@x.test"), {"name": "Ada"}),
          inject.NewRecipient(parse_address("b@x.test"), None)]  # fmt: skip
    message = cast.message(content=content, kind="template")
    inject.inject([inject.NewMessage(**{**fields_of(message), "recipients": to})])
    held = desk.take("x.test")
    outgoing = desk.loaded(held.token)
    assert b"Subject: Hello Ada" in outgoing[0].wire()
    assert not outgoing[0].shared
    assert desk.settled(cast, held, "x.test", "bounced").dsns == 1
    (report,) = desk.loaded(desk.take("acme.test").token)
    assert b"Subject: Hello Ada" in report.wire()


def test_a_report_survives_substitutions_that_do_not_render_and_a_lost_body(cast: Cast) -> None:
    content = Spec(from_="news@acme.test", subject="{{ missing }}", text="x").to_json()
    desk.injected(cast, "a@x.test", content=content, kind="template")
    assert desk.settled(cast, desk.take("x.test"), "x.test", "bounced").dsns == 1


def test_a_lost_body_does_not_stop_the_settlement(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failure, "BODIES", bodies.Bodies())
    desk.injected(cast, "a@x.test")
    other = Body.objects.create(
        digest="0" * 64, kind="raw", content=b"", size=0, created_at=now_ms()
    )
    held = desk.take("x.test")
    Message.objects.update(body=other)
    monkeypatch.setattr(bodies.Bodies, "get", lost)
    assert desk.settled(cast, held, "x.test", "bounced").dsns == 1


def lost(self: bodies.Bodies, digests: Any) -> dict[str, Any]:
    raise LookupError("bodies missing")


def test_a_deferral_past_the_end_of_life_expires(cast: Cast) -> None:
    rid = one(cast, expires_at=time.time() + 5)
    summary = desk.settled(cast, desk.take("x.test"), "x.test", "deferred", enhanced="")
    assert (summary.by_outcome, summary.dsns) == ({"expired": 1}, 1)
    row = desk.row(rid)
    assert (row.state, row.bounce_class) == ("expired", "expired")
    assert "451 4.7.1 later" in row.last_reply
    assert [kind for kind, _ in events(rid)] == ["expiration"]
    (report,) = desk.loaded(desk.take("acme.test").token)
    assert b"Status: 4.4.7" in report.wire()
    assert desk.broken() == []


def test_postponed_is_no_attempt(cast: Cast) -> None:
    rid = one(cast)
    until = now_ms() + 30_000
    summary = desk.settled(cast, desk.take("x.test"), "x.test", "postponed", until=until)
    assert (summary.by_outcome, summary.next_due_at) == ({"postponed": 1}, until)
    row = desk.row(rid)
    assert (row.state, row.attempts, row.source_id) == ("scheduled", 0, None)
    assert events(rid) == []
    assert not Attempt.objects.exists()
    assert desk.lane("x.test").hold_reason == "limit rate"
    assert desk.lane("x.test").last_reply == ""
    assert desk.broken() == []


def test_postponed_after_an_attempt_stays_deferred(cast: Cast) -> None:
    rid = one(cast)
    desk.settled(cast, desk.take("x.test"), "x.test", "deferred")
    desk.make_due()
    desk.settled(cast, desk.take("x.test"), "x.test", "postponed")
    assert (desk.row(rid).state, desk.row(rid).attempts) == ("deferred", 1)
    assert desk.row(rid).source_id == cast.source.pk


def test_what_is_put_off_past_its_end_expires_at_its_end_and_not_before(cast: Cast) -> None:
    rid = one(cast, expires_at=time.time() + 3600)
    ends = Message.objects.get().expires_at
    day = now_ms() + 86_400_000
    desk.settled(cast, desk.take("x.test"), "x.test", "postponed", until=day)
    assert (desk.row(rid).state, desk.row(rid).next_attempt_at) == ("scheduled", ends)
    Message.objects.update(created_at=from_ms(1), expires_at=from_ms(2))
    desk.make_due()
    summary = desk.settled(cast, desk.take("x.test"), "x.test", "postponed", until=day)
    assert summary.by_outcome == {"expired": 1}
    assert [kind for kind, _ in events(rid)] == ["expiration"]
    assert desk.broken() == []


def test_suppressed_on_the_way(cast: Cast) -> None:
    rid = one(cast)
    desk.settled(cast, desk.take("x.test"), "x.test", "suppressed")
    assert desk.row(rid).state == "suppressed"
    assert [kind for kind, _ in events(rid)] == ["suppression"]
    assert desk.broken() == []


def test_settling_twice_changes_nothing(cast: Cast) -> None:
    one(cast)
    held = desk.take("x.test")
    desk.settled(cast, held, "x.test", "delivered")
    before = Event.objects.count(), Attempt.objects.count()
    summary = desk.settled(cast, held, "x.test", "bounced", action="suppress")
    assert summary.settled == 0
    assert (Event.objects.count(), Attempt.objects.count()) == before
    assert desk.states() == {"delivered": 1}
    assert not Suppression.objects.exists()


def test_a_recipient_of_another_batch_is_left_alone(cast: Cast) -> None:
    first, second = desk.injected(cast, "a@x.test", "b@x.test").recipient_ids
    one_, two = desk.take("x.test", 1), desk.take("x.test", 1)
    both = replace(one_, recipient_ids=(first, second))
    assert desk.settled(cast, both, "x.test", "delivered").settled == 1
    assert desk.states() == {"delivered": 1, "claimed": 1}
    assert desk.settled(cast, two, "x.test", "delivered").settled == 1


def test_metadata_of_the_recipient_wins(cast: Cast) -> None:
    message = cast.message(metadata={"a": 1, "b": 1})
    to = inject.NewRecipient(parse_address("a@x.test"), metadata={"b": 2})
    accepted = inject.inject([inject.NewMessage(**{**fields_of(message), "recipients": [to]})])[0]
    desk.settled(cast, desk.take("x.test"), "x.test", "delivered")
    assert events(accepted.recipient_ids[0])[0][1]["metadata"] == {"a": 1, "b": 2}


def test_ids_that_another_process_drew_are_drawn_again(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The id of a DSN is taken: the settlement runs again with a new one."""
    one(cast)
    taken = Message.objects.get().pk
    drawn: list[int] = []

    def new_id() -> int:
        drawn.append(0)
        return taken if len(drawn) == 1 else taken + 12_345

    monkeypatch.setattr(failure, "new_id", new_id)
    assert desk.settled(cast, desk.take("x.test"), "x.test", "bounced").dsns == 1
    assert Message.objects.filter(origin="dsn").get().pk == taken + 12_345


def test_a_reply_with_every_byte_can_be_stored(cast: Cast) -> None:
    rid = one(cast)
    text = "ÿ\u2028\U0001f600 " * 400
    desk.settled(cast, desk.take("x.test"), "x.test", "bounced", reply=text, text=text)
    assert desk.row(rid).last_reply == text[:500]
    assert Recipient.objects.get(pk=rid).state == "bounced"
    assert BODIES.size > 0


def test_what_a_limit_kept_back_is_found_again(cast: Cast) -> None:
    now = now_ms()
    for name, age in (("old", 9000), ("young", 1000)):
        desk.injected(cast, f"{name}@x.test")
        Recipient.objects.filter(address=f"{name}@x.test").update(
            next_attempt_at=from_ms(now - age)
        )
    first = desk.take("x.test", limit=1)
    old = desk.row(first.recipient_ids[0])
    assert old.address == "old@x.test"
    summary = desk.settled(cast, first, "x.test", "limited", until=now + 60_000, gate="rate:s:x")
    assert (summary.by_outcome, summary.settled) == ({"limited": 1}, 1)
    old.refresh_from_db()
    assert (old.state, old.attempts, old.claim_token) == ("scheduled", 0, None)
    assert old.next_attempt_at == from_ms(now - 9000), "it keeps its place"
    lane = desk.lane("x.test")
    assert (lane.gate, lane.due_at, lane.wait_until) == (
        "rate:s:x", from_ms(now + 60_000), from_ms(now + 60_000),
    )  # fmt: skip
    assert not Attempt.objects.exists()
    assert desk.broken() == []
    assert len(desk.take("x.test").recipient_ids) == 2, "the old one before all that was looked at"


def test_held_on_the_way(cast: Cast) -> None:
    rid = one(cast)
    held = desk.take("x.test")
    desk.settled(cast, held, "x.test", "held", reply="rule vip: ask the sales team")
    row = desk.row(rid)
    assert (row.state, row.last_reply, row.claim_token) == (
        "held", "rule vip: ask the sales team", None,
    )  # fmt: skip
    assert events(rid) == []
    assert desk.broken() == []
