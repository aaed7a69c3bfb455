"""trace: the story of a message, a recipient, an address."""

from __future__ import annotations

import pytest
from django.core.management import CommandError

from mta.mail.ids import encode
from mta.spool.models import Recipient
from tests.cast import Cast
from tests.state.commands.run import answer, text
from tests.state.dashboard import scene


@pytest.fixture
def tried(cast: Cast) -> Recipient:
    message = scene.message(cast.transactional, subject="Hi \x1b[31mred", campaign="may")
    row = scene.recipient(message, "ann@x.test", "deferred", attempts=1, source=cast.source)
    scene.recipient(message, "bob@x.test", "delivered")
    scene.attempt(row, "451 4.7.1 greylisted", mx_address="192.0.2.1", bounce_class="greylisted",
                  rule="greylisting", source_name="acme-source")  # fmt: skip
    scene.event(row, "reception")
    scene.event(row, "deferral")
    return row


def test_a_message_by_its_id(tried: Recipient) -> None:
    (message,) = answer("trace", encode(tried.message_id))["messages"]
    assert message["id"] == encode(tried.message_id)
    assert message["states"] == {"deferred": 1, "delivered": 1}
    assert [row["to"] for row in message["recipients"]] == ["ann@x.test", "bob@x.test"]


def test_a_recipient_by_its_id_in_any_case(tried: Recipient) -> None:
    (message,) = answer("trace", encode(tried.pk).upper())["messages"]
    (row,) = message["recipients"]
    assert (row["id"], row["state"], row["source"]) == (encode(tried.pk), "deferred", "acme-source")
    (attempt,) = row["history"]
    assert (attempt["reply"], attempt["rule"]) == ("451 4.7.1 greylisted", "greylisting")
    assert [event["kind"] for event in row["events"]] == ["reception", "deferral"]
    assert row["next_attempt_at"]
    assert row["why"]


def test_an_address_newest_first_and_bounded(tried: Recipient, cast: Cast) -> None:
    newer = scene.recipient(scene.message(cast.bulk), "ann@x.test")
    found = answer("trace", "ann@X.test")
    rows = [row["id"] for message in found["messages"] for row in message["recipients"]]
    assert rows == [encode(newer.pk), encode(tried.pk)]
    assert found["more"] is False
    short = answer("trace", "ann@x.test", "--limit", "1")
    assert (len(short["messages"]), short["more"]) == (1, True)
    assert "--limit shows it" in text("trace", "ann@x.test", "--limit", "1")


def test_people_read_it_and_terminals_obey_nothing(tried: Recipient) -> None:
    said = text("trace", "ann@x.test")
    assert "\x1b" not in said
    for part in ("acme/transactional, campaign may", "1 deferred, 1 delivered",
                 "greylisted, rule greylisting", "mx.test [192.0.2.1] from acme-source",
                 "451 4.7.1 greylisted", "next attempt", "deferral 451 4.7.1 later"):  # fmt: skip
        assert part in said


@pytest.mark.parametrize("term", ["0000000000000", "ann@nowhere.test"])
def test_what_nobody_knows(cast: Cast, term: str) -> None:
    with pytest.raises(CommandError, match="nothing is known") as caught:
        text("trace", term)
    assert caught.value.returncode == 1


@pytest.mark.parametrize("term", ["", "ann", "x" * 500])
def test_what_is_neither_id_nor_address(cast: Cast, term: str) -> None:
    with pytest.raises(CommandError, match="neither an id"):
        text("trace", term)
