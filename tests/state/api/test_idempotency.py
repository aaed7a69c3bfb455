"""The same request twice is one message."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from django.db import connection, connections

from mta.api import injection
from mta.api.idempotency import Key
from mta.api.injection import accept
from mta.egress.provision import Provisioned, provision
from mta.spool.models import IdempotencyKey, Message
from mta.tenants.credentials import caller_by_api_key
from tests.state.api.program import Program
from tests.state.api.requests import message


def test_same_key_and_body_get_the_same_answer(program: Program) -> None:
    body = json.dumps(message("ann@customer.example", "nobody")).encode()
    first = program.call("POST", "messages", body, expect=202, Idempotency_Key="k1")
    again = program.call("POST", "messages", body, expect=202, Idempotency_Key="k1")
    assert first.data == again.data
    assert Message.objects.count() == 1


def test_another_body_is_409(program: Program) -> None:
    program.call("POST", "messages", message(), expect=202, Idempotency_Key="k1")
    problem = program.json(
        "POST", "messages", message(subject="Other"), expect=409, Idempotency_Key="k1"
    )
    assert problem["type"].endswith("#idempotency-conflict")
    assert Message.objects.count() == 1


def test_a_refused_request_may_be_corrected_under_its_key(program: Program) -> None:
    program.call("POST", "messages", message("nobody"), expect=422, Idempotency_Key="k1")
    program.call("POST", "messages", message(), expect=202, Idempotency_Key="k1")


def test_keys_of_tenants_are_apart(program: Program, stranger: Program) -> None:
    program.call("POST", "messages", message(), expect=202, Idempotency_Key="k1")
    theirs = message(**{"from": "news@stranger.example"})
    stranger.call("POST", "messages", theirs, expect=202, Idempotency_Key="k1")
    assert Message.objects.count() == 2


@pytest.mark.parametrize("key", ["", "a" * 256, "white space", "ü"])
def test_a_malformed_key_is_named(program: Program, key: str) -> None:
    problem = program.json("POST", "messages", message(), expect=422, Idempotency_Key=key)
    assert problem["errors"][0]["field"] == "Idempotency-Key"


def test_a_key_that_is_taken_between_look_and_write(
    made: Provisioned, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = caller_by_api_key(made.api_key)
    assert caller is not None
    key = Key(caller.tenant_id, "k1", "digest")
    real, looks, first = Key.known_answer, [0], []

    def look(self: Key) -> str | None:
        found = real(self)
        looks[0] += 1
        if looks[0] == 1:
            first.append(accept(caller, message(), key))
        return found

    monkeypatch.setattr(Key, "known_answer", look)
    assert accept(caller, message(), key) == first[0]
    assert Message.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(
    connection.vendor == "sqlite", reason="in memory there is one connection, so nothing at once"
)
def test_of_two_requests_at_once_one_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have looked and found the key free before either writes."""
    caller = caller_by_api_key(provision("shop", ["shop.example"]).api_key)
    assert caller is not None
    both_looked = threading.Barrier(2, timeout=20)
    store = injection.store

    def store_together(*arguments: Any) -> bytes:
        both_looked.wait()
        return store(*arguments)

    monkeypatch.setattr(injection, "store", store_together)
    answers: list[bytes] = []

    def send() -> None:
        try:
            answers.append(accept(caller, message(), Key(caller.tenant_id, "k1", "d")))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=send) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(answers) == 2
    assert answers[0] == answers[1]
    assert Message.objects.count() == 1
    assert IdempotencyKey.objects.count() == 1
