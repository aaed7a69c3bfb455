"""What became of mail: pages, the reason of a wait, events from a cursor."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from mta.api.waiting import Waiting, next_attempt
from mta.egress.models import Suspension
from mta.mail.ids import decode, encode
from mta.spool.models import Attempt, Lane, Recipient
from mta.storage.fields import now_ms
from tests.state.api.program import Program
from tests.state.api.requests import message


def send(program: Program, *to: str) -> str:
    found: str = program.json("POST", "messages", message(*to), expect=202)["id"]
    return found


def test_a_message_counts_its_recipients_by_state(program: Program) -> None:
    name = send(program, "ann@customer.example", "bob@customer.example")
    Recipient.objects.filter(address__startswith="ann").update(
        state="delivered", next_attempt_at=None
    )
    found = program.json("GET", f"messages/{name}")
    assert found["id"] == name
    assert found["recipients"] == 2
    assert found["states"] == {"delivered": 1, "scheduled": 1}
    assert found["reverse_path"] == "news@shop.example"
    # Ids forgive what people do to them.
    assert program.json("GET", f"messages/{name.upper()}")["id"] == name


def test_recipients_come_in_pages(program: Program) -> None:
    name = send(program, *(f"u{n}@customer.example" for n in range(5)))
    seen, query = [], "?limit=2"
    while True:
        page = program.json("GET", f"messages/{name}/recipients{query}")
        seen += [item["to"] for item in page["items"]]
        if page["next"] is None:
            break
        assert len(page["items"]) == 2
        query = f"?limit=2&after={page['next']}"
    assert seen == [f"u{n}@customer.example" for n in range(5)]
    Recipient.objects.filter(address="u3@customer.example").update(
        state="held", next_attempt_at=None
    )
    held = program.json("GET", f"messages/{name}/recipients?state=held")
    assert [item["to"] for item in held["items"]] == ["u3@customer.example"]


def test_a_deferred_recipient_says_when_and_why(program: Program) -> None:
    send(program, "ann@customer.example")
    row = Recipient.objects.get()
    due = timezone.now() + timedelta(minutes=5)
    Recipient.objects.update(
        state="deferred", attempts=1, next_attempt_at=due, last_reply="450 4.2.1 try later"
    )
    Attempt.objects.create(
        recipient=row, number=1, at=now_ms(), took_ms=12, outcome="deferred", stage="rcpt",
        reply="450 4.2.1 try later", rule="generic-4yz", source_name="default",
        mx_host="mx.customer.example", site="mx.customer.example",
    )  # fmt: skip
    found = program.json("GET", f"recipients/{encode(row.pk)}")
    assert found["state"] == "deferred"
    assert found["next_attempt_at"].startswith(due.strftime("%Y-%m-%dT%H:%M:"))
    assert "450 4.2.1 try later" in found["why"]
    (attempt,) = found["history"]
    assert (attempt["number"], attempt["stage"], attempt["took_ms"]) == (1, "rcpt", 12)
    Suspension.objects.create(scope="site", key="customer.example", reason="asked by operator")
    found = program.json("GET", f"recipients/{encode(row.pk)}")
    assert found["next_attempt_at"] is None
    assert "asked by operator" in found["why"]


def test_every_reason_to_wait() -> None:
    now = timezone.now()
    later = now + timedelta(hours=1)

    def why(state: str, **changes: object) -> str:
        values = {
            "next_attempt_at": now, "attempts": 0, "last_reply": "", "wait_until": None,
            "hold_reason": "", "suspended": "",
        } | changes  # fmt: skip
        return next_attempt(Waiting(state=state, **values), now).why  # type: ignore[arg-type]  # literal values above

    assert "turn" in why("scheduled")
    assert "send_at" in why("scheduled", next_attempt_at=later)
    assert "releases" in why("held")
    assert "under way" in why("claimed")
    assert "warmup" in why("scheduled", wait_until=later, hold_reason="warmup cap reached")
    assert why("delivered", next_attempt_at=None) == ""
    # A hold whose time has come holds nothing.
    assert "turn" in why("scheduled", wait_until=now, hold_reason="warmup cap reached")


def test_events_are_read_from_a_cursor(program: Program) -> None:
    assert program.json("GET", "events") == {"items": [], "next": encode(0), "more": False}
    name = send(program, "ann@customer.example", "bob@customer.example", "cy@customer.example")
    first = program.json("GET", "events?limit=2")
    assert [event["to"] for event in first["items"]] == [
        "ann@customer.example",
        "bob@customer.example",
    ]
    assert first["more"] is True
    event = first["items"][0]
    assert (event["kind"], event["message_id"], event["tenant"]) == ("reception", name, "shop")
    assert decode(event["recipient_id"])
    second = program.json("GET", f"events?limit=2&after={first['next']}")
    assert [event["to"] for event in second["items"]] == ["cy@customer.example"]
    assert second["more"] is False
    nothing = program.json("GET", f"events?after={second['next']}")
    assert (nothing["items"], nothing["next"]) == ([], second["next"])
    assert program.json("GET", "events?kind=bounce&kind=delivery")["items"] == []
    assert len(program.json("GET", "events?kind=reception")["items"]) == 3


def test_queues_tell_what_waits_and_why(program: Program) -> None:
    send(program, "ann@customer.example", "bob@customer.example", "cy@other.example")
    Lane.objects.filter(domain="other.example").update(hold_reason="warmup cap reached")
    Recipient.objects.filter(address="bob@customer.example").update(
        state="delivered", next_attempt_at=None
    )
    queues = {q["domain"]: q for q in program.json("GET", "queues")["items"]}
    assert queues["customer.example"]["waiting"] == 1
    assert queues["other.example"]["hold_reason"] == "warmup cap reached"
    made = queues["customer.example"]["oldest_at"]
    assert made[:10] == timezone.now().strftime("%Y-%m-%d")


def test_wrong_queries_name_the_parameter(program: Program) -> None:
    for query, field in {
        "limit=0": "limit",
        "limit=1001": "limit",
        "limit=%D9%A3": "limit",
        "after=x": "after",
        "kind=opened": "kind",
        "kinds=bounce": "kinds",
    }.items():
        problem = program.json("GET", f"events?{query}", expect=422)
        assert problem["errors"][0]["field"] == field
    for name in ("x", "0" * 13, "0" * 12 + "u", "z" * 13):
        program.call("GET", f"messages/{name}", expect=404)
        program.call("GET", f"recipients/{name}", expect=404)


def test_an_engaged_recipient_goes_first_and_says_so(program: Program) -> None:
    body = message("x@c.example", stream="bulk")
    body["recipients"] = [{"to": "keen@c.example", "engaged": True}, {"to": "calm@c.example"}]
    program.call("POST", "messages", body, expect=202)
    shown = {}
    for row in Recipient.objects.all():
        found = program.json("GET", f"recipients/{encode(row.pk)}")
        shown[found["to"]] = found["engaged"]
    assert shown == {"keen@c.example": True, "calm@c.example": False}
    urgencies = {one["urgency"] for one in program.json("GET", "queues")["items"]}
    assert urgencies == {"engaged", "bulk"}
    body["recipients"] = [{"to": "keen@c.example", "engaged": "yes"}]
    problem = program.json("POST", "messages", body, expect=422)
    assert problem["errors"][0]["field"] == "recipients[0].engaged"


def test_what_a_limit_keeps_back_says_until_when(program: Program) -> None:
    program.call("POST", "messages", message("a@c.example"), expect=202)
    until = timezone.now() + timedelta(minutes=9)
    Lane.objects.update(wait_until=until, due_at=until, gate="x", hold_reason="quota of the tenant")
    row = Recipient.objects.get()
    found = program.json("GET", f"recipients/{encode(row.pk)}")
    assert found["next_attempt_at"].startswith(until.strftime("%Y-%m-%dT%H:%M:"))
    assert "quota of the tenant" in found["why"]
