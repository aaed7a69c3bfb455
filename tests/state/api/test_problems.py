"""Every error is problem+json that says what to change; Program.call checks the form of each."""

from __future__ import annotations

import io
import json
import logging
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder

from mta.api import injection, reference
from mta.api.problems import KINDS
from mta.egress.provision import Provisioned
from mta.tenants.credentials import create_api_key
from mta.tenants.models import ApiKey
from tests.state.api.program import Program
from tests.state.api.requests import message


@pytest.mark.parametrize(
    "header", [None, "Basic Zm9v", "Bearer", "Bearer ", "Bearer mm_nosuch", "Bearer ü", "mm_x"]
)
def test_no_valid_key_is_401(program: Program, header: str | None) -> None:
    program.token = ""
    headers = {} if header is None else {"Authorization": header}
    answer = program.call("GET", "events", expect=401, **headers)
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_revoked_and_expired_keys_are_401(program: Program) -> None:
    ApiKey.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    program.call("GET", "events", expect=401)
    ApiKey.objects.update(expires_at=None, revoked_at=timezone.now())
    program.call("GET", "events", expect=401)


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [("send", "POST messages"), ("read", "GET events"), ("manage", "POST suppressions")],
)
def test_a_key_does_what_its_scopes_say(made: Provisioned, scope: str, allowed: str) -> None:
    _, token = create_api_key(made.tenant, scopes=(scope,))
    program = Program(token)
    for call, body, status in [
        ("POST messages", message(), 202),
        ("GET events", None, 200),
        ("POST suppressions", {"address": "a@b.example"}, 201),
    ]:
        method, path = call.split()
        answer = program.call(method, path, body, expect=status if call == allowed else 403)
        assert call == allowed or b"scope" in answer.data


def test_statuses_of_the_protocol(program: Program) -> None:
    program.call("GET", "nosuch", expect=404)
    answer = program.call("DELETE", "messages", expect=405)
    assert answer.headers["Allow"] == "POST"
    program.call("POST", "messages", b"from=x", expect=415, Content_Type="text/plain")
    for body in (b"{", b"\xff", b'{"a": NaN}', b'"\\ud800"', b"[" * 5000):
        program.call("POST", "messages", body, expect=400)
    for body in (b"", b"[]", b"7", b"null"):
        program.call("POST", "messages", body, expect=422)
    # Whatever is accepted, an error stays readable.
    program.call("GET", "nosuch", expect=404, Accept="text/html")


def test_a_chunked_body_is_read_as_a_whole(program: Program) -> None:
    body = json.dumps(message()).encode()
    environ = EnvironBuilder(
        "/api/v1/messages", method="POST", input_stream=io.BytesIO(body),
        content_type="application/json",
        headers=Headers(
            [("Authorization", f"Bearer {program.token}"), ("Transfer-Encoding", "chunked")]
        ),
    ).get_environ()  # fmt: skip
    del environ["CONTENT_LENGTH"]
    assert program.client.run_wsgi_app(environ)[1] == "202 Accepted"


def test_a_bug_is_500_and_tells_nothing(
    program: Program, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("the secret is tuna")

    monkeypatch.setattr(injection, "inject", broken)
    with caplog.at_level(logging.ERROR):
        answer = program.call("POST", "messages", message(), expect=500)
    assert b"tuna" not in answer.data
    assert "tuna" in caplog.text


def test_a_busy_store_is_503_and_may_be_tried_again(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: Any, **__: Any) -> None:
        raise OperationalError("database is locked")

    monkeypatch.setattr(injection, "inject", busy)
    answer = program.call("POST", "messages", message(), expect=503)
    assert answer.headers["Retry-After"] == "1"
    assert b"locked" not in answer.data


def test_every_kind_of_problem_is_explained() -> None:
    assert set(reference.FIXES) == set(KINDS)
