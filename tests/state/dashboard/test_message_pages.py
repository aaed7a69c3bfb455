"""A message and a recipient tell where they are, what was answered, what comes next and why."""

from __future__ import annotations

import html
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from dashboard import reasons
from dashboard.pages import messages
from mta.egress.models import Suspension
from mta.mail import ids
from mta.policy.lifecycle import FINAL
from mta.spool.models import Claim, Recipient
from mta.suppression.models import Suppression
from tests.cast import Cast
from tests.state.dashboard import scene


def text_of(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200, address
    return html.unescape(answer.content.decode())


def test_a_message_shows_envelope_recipients_attempts_and_events(
    acme: Cast, as_operator: Client
) -> None:
    of = scene.message(
        acme.bulk,
        campaign="autumn",
        tags='["vip"]',
        metadata='{"order": "A-1"}',
        subject="Köln <b>",
    )
    to = scene.recipient(of, "anna@x.test", "deferred", attempts=2, last_reply="451 later")
    scene.attempt(to, "451 4.7.1 come back")
    scene.attempt(to, "421 4.7.0 not now", source_name="out-1", tls="TLSv1.3")
    scene.event(to, "deferral")
    answer = as_operator.get(f"/messages/{ids.encode(of.pk)}/")
    assert "Köln &lt;b&gt;" in answer.content.decode()
    text = html.unescape(answer.content.decode())
    for word in ("bounces@acme.test", "acme.test", "autumn", "vip", "A-1", "anna@x.test", "bulk",
                 "451 4.7.1 come back", "421 4.7.0 not now", "out-1", "TLSv1.3", "deferral",
                 "451 4.7.1 later"):  # fmt: skip
        assert word in text, word


def test_recipients_are_paged_and_filtered_by_state(
    acme: Cast, as_operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "PER_PAGE", 2)
    of = scene.message(acme.bulk)
    rows = [scene.recipient(of, f"a{n}@x.test") for n in range(4)]
    done = scene.recipient(of, "done@x.test", "delivered")
    address = f"/messages/{ids.encode(of.pk)}/"
    seen, after = [], ""
    for _ in range(3):
        text = text_of(as_operator, f"{address}?after={after}")
        seen += [row.address for row in [*rows, done] if row.address in text]
        marker = text.find("after=")
        after = text[marker + 6 : marker + 19] if marker > 0 else ""
    assert seen == [row.address for row in [*rows, done]]
    assert after == ""
    text = text_of(as_operator, f"{address}?state=delivered")
    assert "done@x.test" in text
    assert "a0@x.test" not in text
    assert "No recipient here" in text_of(as_operator, f"{address}?state=held")
    assert as_operator.get(f"{address}?after=junk").status_code == 404


def test_a_message_page_costs_the_same_for_two_and_forty_recipients(
    acme: Cast, as_operator: Client
) -> None:
    costs = []
    for count in (2, 40):
        of = scene.message(acme.bulk)
        for n in range(count):
            to = scene.recipient(of, f"a@d{n}.test", "deferred")
            scene.attempt(to, "451 later")
            scene.event(to, "deferral")
        with CaptureQueriesContext(connection) as captured:
            text_of(as_operator, f"/messages/{ids.encode(of.pk)}/")
        costs.append(len(captured))
    assert costs[0] == costs[1]


def test_a_recipient_shows_attempts_and_why(acme: Cast, as_operator: Client) -> None:
    of = scene.message(acme.bulk)
    to = scene.recipient(
        of, "anna@x.test", "deferred", attempts=1, metadata='{"n": 7}',
        next_attempt_at=timezone.now() + timedelta(minutes=5),
    )  # fmt: skip
    scene.attempt(to, "451 4.7.1 greylisted", bounce_class="greylisted", rule="greylist-451")
    text = text_of(as_operator, f"/recipients/{ids.encode(to.pk)}/")
    for word in (
        "anna@x.test", "deferred", "Attempt 1 failed for now", "451 4.7.1 greylisted",
        "greylist-451", '"n": 7',
    ):  # fmt: skip
        assert word in text, word
    assert "in 4 min" in text or "in 5 min" in text


@pytest.mark.parametrize("name", ["junk", "0000000000000", "zzzzzzzzzzzzz", "000000000000u"])
def test_unknown_names_are_not_found(name: str, acme: Cast, as_operator: Client) -> None:
    assert as_operator.get(f"/messages/{name}/").status_code == 404
    assert as_operator.get(f"/recipients/{name}/").status_code == 404


def test_every_state_has_its_sentence(acme: Cast) -> None:
    now = timezone.now()
    later = now + timedelta(minutes=9)
    of = scene.message(acme.bulk)

    def why(state: str, hold: str = "", **values: object) -> str:
        scene.lane(acme.bulk, "x.test", hold_reason=hold, wait_until=later if hold else 0)
        return reasons.outlook(scene.recipient(of, "a@x.test", state, **values), now).why

    assert "waits for its turn" in why("scheduled", next_attempt_at=now)
    assert "800 of 800" in why("scheduled", "warmup: 800 of 800 sent", next_attempt_at=now)
    assert "send_at" in why("scheduled", next_attempt_at=later)
    assert "Attempt 2 failed" in why("deferred", attempts=2, next_attempt_at=later)
    assert "under way" in why("claimed")
    Claim.objects.update(ends_at=now - timedelta(minutes=1))
    assert "is gone" in reasons.outlook(Recipient.objects.get(state="claimed"), now).why
    assert "until somebody releases" in why("held")
    for state in FINAL:
        assert why(state) == reasons.FINAL_WORDS[state]
    row = scene.recipient(of, "b@x.test")
    stop = Suspension(scope="tenant", key="acme", reason="unpaid")
    plan = reasons.outlook(row, now, [stop])
    assert plan.at is None
    assert plan.why == "Suspended: mail of tenant acme (unpaid); an operator can resume it."


def test_a_suspended_tenant_is_named_on_the_page(acme: Cast, as_operator: Client) -> None:
    to = scene.recipient(scene.message(acme.bulk), "a@x.test")
    Suspension.objects.create(scope="tenant", key="acme", reason="unpaid")
    Suspension.objects.create(scope="site", key="other.test", reason="not this one")
    text = text_of(as_operator, f"/recipients/{ids.encode(to.pk)}/")
    assert "Suspended: mail of tenant acme (unpaid)" in text


def test_the_search_box_leads_to_the_one_thing(acme: Cast, as_operator: Client) -> None:
    of = scene.message(acme.bulk)
    to = scene.recipient(of, "anna@xn--bcher-kva.example")
    for term, page in (
        (ids.encode(of.pk), f"/messages/{ids.encode(of.pk)}/"),
        (ids.encode(of.pk).upper(), f"/messages/{ids.encode(of.pk)}/"),
        (ids.encode(to.pk), f"/recipients/{ids.encode(to.pk)}/"),
        ("bücher.example", "/queues/xn--bcher-kva.example/"),
    ):
        answer = as_operator.get("/search/", {"q": f" {term} "})
        assert answer.status_code == 302, term
        assert answer["Location"] == page


def test_the_search_box_lists_mail_to_an_address(acme: Cast, as_operator: Client) -> None:
    scene.recipient(scene.message(acme.bulk, subject="First"), "Anna@x.test")
    scene.recipient(scene.message(acme.bulk, subject="Second"), "Anna@x.test")
    Suppression.objects.create(address="anna@x.test", reason="complaint")
    text = text_of(as_operator, "/search/?q=Anna@x.test")
    assert "First" in text
    assert text.index("Second") < text.index("First")
    assert "is suppressed for every tenant" in text
    assert "Nothing found" in text_of(as_operator, "/search/?q=nobody@x.test")
    assert "What are you looking for" in text_of(as_operator, "/search/")
    command = as_operator.get("/admin/search/?extended=1&s=Anna@x.test").content.decode()
    assert "/search/?q=anna@x.test" in command
