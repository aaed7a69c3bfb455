"""The `inject` hook at the doors: what each says, and that nothing is stored or counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from mta import wiring
from mta.egress.provision import Provisioned, provision
from mta.mail.address import parse_address
from mta.mail.smtp_events import EnvelopeRecipient
from mta.mail.smtp_message import Instructions
from mta.policy.hooks import Changes, Hooks, Injected, Reject
from mta.smtpd.database_door import DatabaseDoor
from mta.smtpd.submission import Judged, Submission
from mta.spool.models import Message
from tests.state.api.program import Program, kept_connection
from tests.state.api.requests import message

pytestmark = pytest.mark.django_db
LETTER = b"From: a@shop.example\r\nSubject: x\r\n\r\nBody\r\n"


@pytest.fixture
def made(db: None) -> Provisioned:
    return provision("shop", ["shop.example"])


@pytest.fixture
def program(made: Provisioned) -> Program:
    return Program(made.api_key)


def with_hook(monkeypatch: pytest.MonkeyPatch, hook: Callable[[Injected], Any]) -> None:
    monkeypatch.setattr(wiring, "hooks", lambda: Hooks("policies", inject=hook))


def fails(_: Injected) -> None:
    raise KeyError("x")


def test_the_api(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    with kept_connection():
        the_api_says(program, monkeypatch)


def the_api_says(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    with_hook(monkeypatch, lambda _: Reject("no mail on Sundays"))
    problem = program.json("POST", "messages", message("a@x.test"), expect=422)
    assert problem["type"].endswith("#policy-rejected")
    assert problem["detail"] == "no mail on Sundays"
    with_hook(monkeypatch, fails)
    problem = program.json("POST", "messages", message("a@x.test"), expect=503)
    assert problem["type"].endswith("#unavailable")
    assert not Message.objects.exists()
    with_hook(monkeypatch, lambda _: Changes(campaign="hooked"))
    program.json("POST", "messages", message("a@x.test"), expect=202)
    assert Message.objects.get().campaign == "hooked"


@pytest.mark.parametrize(
    ("hook", "code", "said"),
    [(lambda _: Reject("no mail on Sundays"), 77, "no mail on Sundays"), (fails, 75, "try again")],
)
def test_the_command(
    hook: Callable[[Injected], Any], code: int, said: str, made: Provisioned, tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    with_hook(monkeypatch, hook)
    letter = tmp_path / "letter.eml"
    letter.write_bytes(LETTER)
    with pytest.raises(CommandError, match=said) as refused:
        call_command("inject", str(letter), "--to", "b@x.test")
    assert refused.value.returncode == code
    assert not Message.objects.exists()


def test_the_smtp_door(made: Provisioned, monkeypatch: pytest.MonkeyPatch) -> None:
    door = DatabaseDoor()
    before = door.judges
    said = Instructions("", "spring", ("a",), {"order": 7}, engaged=True)
    given = Submission(
        door.new_id(), made.tenant.pk, door.stream_id(made.tenant.pk, "") or 0, "a@shop.example",
        "shop.example", LETTER, [EnvelopeRecipient(parse_address("b@x.test"), "", "")], "x", said,
        False, "", "",
    )  # fmt: skip
    with_hook(monkeypatch, lambda seen: Changes(tags=[*seen.tags, seen.origin]))
    assert (before, door.judges) == (False, True)
    changed = Instructions("", "spring", ("a", "smtp"), {"order": 7}, engaged=True)
    assert door.judge(given) == Judged(changed)
    with_hook(monkeypatch, lambda _: Reject("no"))
    assert door.judge(given) == Judged(said, "no")
    with_hook(monkeypatch, fails)
    assert door.judge(given) == Judged(
        said, "The local policy met an error; try again later.", later=True
    )
