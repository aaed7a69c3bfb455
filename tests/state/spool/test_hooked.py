"""The hooks of MAILMILL_POLICY around the spool: at the doors, and when events are stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from mta import wiring
from mta.mail.ids import encode
from mta.policy.hooks import Changes, Hooks, Injected, Reject, Told
from mta.spool.hooked import InjectRejected, InjectUnsettled, injected
from mta.spool.inject import inject
from mta.spool.models import Message
from tests.cast import Cast

pytestmark = pytest.mark.django_db
Commits = Callable[..., Any]


def with_hook(monkeypatch: pytest.MonkeyPatch, **hooks: Callable[[Any], Any]) -> None:
    monkeypatch.setattr(wiring, "hooks", lambda: Hooks("policies", **hooks))


def test_without_a_hook_the_message_is_the_same(cast: Cast) -> None:
    message = cast.message("a@x.test")
    assert injected(message) is message


def test_what_the_hook_sees(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Injected] = []
    with_hook(monkeypatch, inject=asked.append)
    message = cast.message(
        "a@x.test", "b@y.test", campaign="may", tags=["t"], metadata={"k": 1}, subject="Hello"
    )
    assert injected(message) is message
    assert asked == [
        Injected(
            "acme", "transactional", "command", "bounces@acme.test", ("a@x.test", "b@y.test"),
            "Hello", "may", ("t",), {"k": 1}, len(message.content),
        )
    ]  # fmt: skip


def test_changes_are_stored(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    with_hook(monkeypatch, inject=lambda _: Changes(campaign="june", tags=["a", "b"]))
    message = cast.message("a@x.test", campaign="may", metadata={"k": 1})
    changed = injected(message)
    assert changed == replace(message, campaign="june", tags=("a", "b"))
    inject([changed])
    stored = Message.objects.get()
    assert (stored.campaign, stored.tags, stored.metadata) == ("june", '["a","b"]', '{"k":1}')


def test_a_refusal_is_one_line_of_ascii(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    with_hook(monkeypatch, inject=lambda _: Reject("not\r\n250 today, Grüße"))
    with pytest.raises(InjectRejected) as refused:
        injected(cast.message("a@x.test"))
    assert str(refused.value) == "not 250 today, Gr??e"


def fails(_: Injected) -> None:
    raise KeyError("secret of the operator")


@pytest.mark.parametrize(
    "hook",
    [
        fails,
        lambda _: "no",
        lambda _: Changes(campaign="c" * 129),
        lambda _: Changes(tags="news"),
        lambda _: Changes(tags=[1]),  # type: ignore[list-item]  # what a stranger may do
        lambda _: Changes(metadata={"k": object()}),
        lambda _: Changes(metadata=[1]),  # type: ignore[arg-type]  # as above
    ],
)
def test_a_hook_that_fails_says_later(
    hook: Callable[[Any], Any], cast: Cast, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    with_hook(monkeypatch, inject=hook)
    with pytest.raises(InjectUnsettled) as unsettled:
        injected(cast.message("a@x.test"))
    assert str(unsettled.value) == "The local policy met an error; try again later."
    assert "policies.inject" in caplog.text


def test_events_are_told_when_they_are_committed(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Commits
) -> None:
    told: list[Told] = []
    with_hook(monkeypatch, on_event=told.append)
    with django_capture_on_commit_callbacks() as callbacks:
        (accepted,) = inject([cast.message("a@x.test", "b@x.test", campaign="may")])
    assert told == []
    for callback in callbacks:
        callback()
    assert [(one.kind, one.fields["to"]) for one in told] == [
        ("reception", "a@x.test"), ("reception", "b@x.test"),
    ]  # fmt: skip
    assert told[0].message == encode(accepted.message_id)
    assert told[0].recipient == encode(accepted.recipient_ids[0])
    assert told[0].fields["campaign"] == "may"
    assert 1_700_000_000 < told[0].at < 5_000_000_000


def test_a_hook_that_fails_at_one_event_is_told_the_next(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Commits,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    told: list[str] = []

    def on_event(event: Told) -> None:
        told.append(event.fields["to"])
        raise RuntimeError("no room")

    with_hook(monkeypatch, on_event=on_event)
    with django_capture_on_commit_callbacks(execute=True):
        inject([cast.message("a@x.test", "b@x.test")])
    assert told == ["a@x.test", "b@x.test"]
    assert caplog.text.count("policies.on_event: reception") == 2


def test_without_a_hook_nothing_waits_for_the_commit(
    cast: Cast, django_capture_on_commit_callbacks: Commits
) -> None:
    with django_capture_on_commit_callbacks() as callbacks:
        inject([cast.message("a@x.test")])
    assert len(callbacks) == 1  # the mail log
