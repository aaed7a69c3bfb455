"""POST messages: what is taken, what is refused, and what is stored."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mta.api import submission
from mta.egress.provision import Provisioned
from mta.mail.ids import decode
from mta.spool.bodies import unpack
from mta.spool.models import Body, Message, Recipient
from mta.suppression.models import Suppression
from mta.tenants.models import Tenant
from tests.state.api.program import Program
from tests.state.api.requests import message


def stored() -> Message:
    return Message.objects.get()


def rendered(address: str) -> str:
    """What the recipient will get."""
    from mta.spool.load import Outgoing

    row = Recipient.objects.select_related("message__body").get(address=address)
    found = row.message
    values = bytes(row.substitutions or b"{}")
    outgoing = Outgoing(
        row.pk, found.pk, row.address, found.reverse_path, found.sender_domain, False,
        1_700_000_000_000, values, unpack(found.body), found.body_id, "", "", "", "",
    )  # fmt: skip
    return outgoing.wire().decode()


def test_a_message_is_stored_with_its_envelope(program: Program) -> None:
    answer = program.json(
        "POST", "messages",
        message("ann@customer.example", "Bob@Customer.Example", campaign="spring", tags=["a"],
                metadata={"order": 7}, stream="bulk"),
        expect=202,
    )  # fmt: skip
    assert answer["accepted"] == 2
    assert answer["suppressed"] == 0
    assert answer["rejected"] == []
    found = stored()
    assert found.pk == decode(answer["id"])
    assert found.reverse_path == "news@shop.example"
    assert found.sender_domain == "shop.example"
    assert (found.campaign, found.tags, found.metadata) == ("spring", '["a"]', '{"order":7}')
    assert (found.stream.name, found.origin) == ("bulk", "api")
    # RFC 5321 2.4: the local part's case is the receiver's.
    assert set(found.recipients.values_list("address", flat=True)) == {
        "ann@customer.example",
        "Bob@customer.example",
    }


def test_each_recipient_gets_its_own_substitutions(program: Program) -> None:
    recipients = [
        {"to": "ann@customer.example", "substitutions": {"name": "Ann <3", "n": 1}},
        {"to": "bob@customer.example", "substitutions": {"name": "Bob", "n": 2}},
    ]
    program.json(
        "POST", "messages",
        message(recipients=recipients, subject="For {{ name }}", text="No. {{ n }}",
                html="<b>{{ name }}</b>", headers={"X-Number": "{{ n }}"},
                reply_to="Help <help@shop.example>"),
        expect=202,
    )  # fmt: skip
    ann = rendered("ann@customer.example")
    assert "\r\nSubject: For Ann <3\r\n" in ann
    assert "\r\nX-Number: 1\r\n" in ann
    assert "<b>Ann &lt;3</b>" in ann
    assert "\r\nReply-To: Help <help@shop.example>\r\n" in ann
    assert "\r\nTo: ann@customer.example\r\n" in ann
    assert "Subject: For Bob" in rendered("bob@customer.example")


def test_an_unknown_variable_names_recipient_and_variable(program: Program) -> None:
    recipients = [
        {"to": "ann@customer.example", "substitutions": {"name": "Ann"}},
        {"to": "bob@customer.example", "substitutions": {"nmae": "Bob"}},
    ]
    problem = program.json(
        "POST", "messages", message(recipients=recipients, text="Dear {{ name }}"), expect=422
    )
    (error,) = problem["errors"]
    assert error["field"] == "recipients[1].substitutions"
    assert (error["index"], error["to"]) == (1, "bob@customer.example")
    assert (error["variable"], error["template"]) == ("name", "text")
    assert not Message.objects.exists()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"subject": "{{ name"}, "subject"),
        ({"html": "{% for %}"}, "html"),
        ({"headers": {"X-Id": "{{ }}"}}, "headers.X-Id"),
        ({"subject": "{{ name }}\nBcc: all@customer.example"}, "subject"),
        ({"headers": {"Bcc": "all@customer.example"}}, "headers.Bcc"),
        ({"headers": {"X Y": "1"}}, "headers.X Y"),
        ({"from": "shop.example"}, "from"),
        ({"reply_to": "nobody"}, "reply_to"),
        ({"stream": "nosuch"}, "stream"),
        ({"recipients": []}, "recipients"),
        ({"recipients": [{"to": 7}]}, "recipients[0].to"),
        ({"recipients": ["ann@customer.example"]}, "recipients[0]"),
        ({"recipients": [{"to": "a@b.example", "cc": "x"}]}, "recipients[0].cc"),
        ({"recipients": [{"to": "a@b.example", "substitutions": []}]},
         "recipients[0].substitutions"),
        ({"recipients": [{"to": "a@b.example", "metadata": 1}]}, "recipients[0].metadata"),
        ({"text": ""}, "text"),
        ({"subject": 7}, "subject"),
        ({"subjekt": "Hello"}, "subjekt"),
        ({"tags": ["a"] * 21}, "tags"),
        ({"tags": [1]}, "tags[0]"),
        ({"metadata": {"a": "x" * 5000}}, "metadata"),
        ({"campaign": "a\u0000b"}, "campaign"),
        ({"send_at": "tomorrow"}, "send_at"),
        ({"send_at": "2027-01-31T08:00:00"}, "send_at"),
        ({"expires_at": "2020-01-31T08:00:00Z"}, "expires_at"),
        ({"send_at": "2097-01-31T08:00:00Z", "expires_at": "2096-01-31T08:00:00Z"}, "expires_at"),
        ({"raw": "From: a@shop.example\r\n\r\n"}, "raw"),
        ({"attachments": [{"filename": "a", "content": "%%"}]}, "attachments[0].content"),
        ({"attachments": [{"filename": "a", "content": "", "content_type": "x"}]},
         "attachments[0].content_type"),
    ],
)  # fmt: skip
def test_wrong_input_names_the_field(program: Program, changes: dict[str, Any], field: str) -> None:
    problem = program.json("POST", "messages", message(**changes), expect=422)
    assert field in {error["field"] for error in problem["errors"]}
    assert not Message.objects.exists()


def test_wrong_addresses_are_rejected_and_the_others_go_on(program: Program) -> None:
    answer = program.json(
        "POST", "messages",
        message("ann@customer.example", "nobody", "a b@customer.example", "Bob <b@c.example>"),
        expect=202,
    )  # fmt: skip
    assert answer["accepted"] == 1
    assert [r["index"] for r in answer["rejected"]] == [1, 2, 3]
    assert answer["rejected"][0]["to"] == "nobody"
    assert "no @" in answer["rejected"][0]["reason"]
    assert Recipient.objects.get().address == "ann@customer.example"


def test_nothing_is_stored_when_all_are_rejected(program: Program) -> None:
    problem = program.json("POST", "messages", message("nobody", "@"), expect=422)
    assert problem["type"].endswith("#all-rejected")
    assert [r["index"] for r in problem["rejected"]] == [0, 1]
    assert not Message.objects.exists()


def test_suppressed_recipients_are_counted(program: Program, made: Provisioned) -> None:
    Suppression.objects.create(tenant=made.tenant, address="ann@customer.example", reason="manual")
    answer = program.json(
        "POST", "messages", message("Ann@customer.example", "bob@customer.example"), expect=202
    )
    assert (answer["accepted"], answer["suppressed"]) == (2, 1)


def test_only_own_domains_may_send(program: Program, stranger: Program) -> None:
    for changes in (
        {"from": "news@stranger.example"},
        {"reverse_path": "bounces@stranger.example"},
    ):
        problem = program.json("POST", "messages", message(**changes), expect=403)
        assert problem["type"].endswith("#sender-not-allowed")
    raw = "From: news@stranger.example\r\n\r\nHi\r\n"
    body = {"recipients": [{"to": "ann@customer.example"}], "raw": raw}
    program.call("POST", "messages", body, expect=403)
    # A display name is no sender.
    disguised = '"news@shop.example" <news@stranger.example>'
    program.call("POST", "messages", message(**{"from": disguised}), expect=403)
    assert not Message.objects.exists()


def test_null_and_other_reverse_paths(program: Program) -> None:
    program.call("POST", "messages", message(reverse_path=""), expect=202)
    assert stored().reverse_path == ""
    Message.objects.all().delete()
    program.call("POST", "messages", message(reverse_path="b+1@shop.example"), expect=202)
    assert stored().reverse_path == "b+1@shop.example"


def test_a_suspended_tenant_may_read_but_not_send(program: Program) -> None:
    Tenant.objects.filter(name="shop").update(status="suspended")
    problem = program.json("POST", "messages", message(), expect=403)
    assert problem["type"].endswith("#tenant-suspended")
    program.call("GET", "events", expect=200)


def test_times_are_kept(program: Program) -> None:
    send_at = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=2)
    expires_at = send_at + timedelta(hours=1)
    program.call(
        "POST", "messages",
        message(send_at=send_at.isoformat(), expires_at=expires_at.isoformat()), expect=202,
    )  # fmt: skip
    assert stored().expires_at == expires_at
    assert Recipient.objects.get().next_attempt_at == send_at


def test_attachments_and_inline_images(program: Program) -> None:
    image = base64.b64encode(b"\x89PNG....").decode()
    program.call(
        "POST", "messages",
        message(html='<img src="cid:logo">', attachments=[
            {"filename": "logo.png", "content_type": "image/png", "content": image,
             "content_id": "logo"},
            {"filename": "füße.pdf", "content_type": "application/pdf", "content": "JVBERi0="},
        ]),
        expect=202,
    )  # fmt: skip
    text = rendered("ann@customer.example")
    assert "Content-ID: <logo>" in text
    assert "Content-Type: application/pdf" in text
    assert image in text


def test_too_large_a_message_is_413(
    program: Program, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    import dataclasses

    settings.MAILMILL = dataclasses.replace(settings.MAILMILL, max_message_bytes=70_000)
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 140_000
    big = base64.b64encode(b"x" * 60_000).decode()
    attached = message(attachments=[{"filename": "a", "content": big}])
    program.call("POST", "messages", attached, expect=413)
    program.call("POST", "messages", message(text="x" * 71_000), expect=413)
    program.call("POST", "messages", message(text="x" * 150_000), expect=413)
    # A template must not grow beyond it either.
    grown = message(text="{% for i in range(1000) %}" + "x" * 100 + "{% endfor %}")
    program.call("POST", "messages", grown, expect=413)
    raw = {
        "recipients": [{"to": "a@b.example"}],
        "raw": "From: a@shop.example\r\n\r\n" + "x" * 71_000,
    }
    program.call("POST", "messages", raw, expect=413)
    assert not Message.objects.exists()
    # What might be too large is looked at closely, in the forms of the first and of many.
    for text in ("x" * 60_000, "{{ name }}" + "é" * 10_000):
        to = [{"to": f"{n}@b.example", "substitutions": {"name": "N"}} for n in range(5)]
        program.call("POST", "messages", message(text=text, html="", recipients=to), expect=202)


def test_more_than_10000_recipients_are_refused(program: Program) -> None:
    many = [{"to": "a@b.example"}] * (submission.MAX_RECIPIENTS + 1)
    problem = program.json("POST", "messages", message(recipients=many), expect=422)
    assert problem["errors"][0]["field"] == "recipients"
    assert "split" in problem["errors"][0]["detail"]


def test_a_batch_of_1000_costs_no_statement_per_row(
    program: Program, django_assert_max_num_queries: Any
) -> None:
    recipients = [
        {"to": f"u{n}@customer.example", "substitutions": {"name": f"U{n}"}} for n in range(1000)
    ]
    body = message(recipients=recipients, text="Dear {{ name }}")
    with django_assert_max_num_queries(25):
        answer = program.json("POST", "messages", body, expect=202)
    assert answer["accepted"] == Recipient.objects.count() == 1000


def test_equal_content_is_kept_once(program: Program) -> None:
    for _ in range(2):
        program.call("POST", "messages", message(), expect=202)
    assert Message.objects.count() == 2
    assert Body.objects.count() == 1


def test_values_nested_too_deep_are_named(program: Program) -> None:
    deep: Any = {}
    for _ in range(300):
        deep = {"a": deep}
    recipient = {"to": "ann@customer.example", "substitutions": deep}
    problem = program.json("POST", "messages", message(recipients=[recipient]), expect=422)
    assert problem["errors"][0]["field"] == "recipients"
    problem = program.json("POST", "messages", message(metadata=deep), expect=422)
    assert problem["errors"][0]["field"] == "metadata"


def test_ids_that_another_process_drew_are_drawn_again(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mta.api import injection

    taken = decode(program.json("POST", "messages", message(), expect=202)["id"])
    draws = iter([taken, taken + 1_000_000])
    monkeypatch.setattr(injection, "new_id", lambda: next(draws))
    answer = program.json("POST", "messages", message(), expect=202)
    assert decode(answer["id"]) == taken + 1_000_000
    assert Message.objects.count() == 2
