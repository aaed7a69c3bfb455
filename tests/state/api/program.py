"""A program that talks to the real WSGI application."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from werkzeug.test import Client, TestResponse


class Program:
    """One caller of the API."""

    def __init__(self, token: str = "") -> None:
        from mta.wsgi import application

        self.client = Client(application)
        self.token = token

    def call(
        self, method: str, path: str, body: Any = None, *, expect: int, **headers: str
    ) -> TestResponse:
        """Send a request and check its status; `path` is below /api/v1/."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        data = body
        if body is not None and not isinstance(body, bytes):
            data = json.dumps(body).encode()
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        answer = self.client.open(f"/api/v1/{path}", method=method, data=data, headers=sent)
        assert answer.status_code == expect, answer.get_data(as_text=True)
        if answer.status_code >= 400:
            assert answer.headers["Content-Type"] == "application/problem+json"
            problem = json.loads(answer.data)
            assert problem["status"] == answer.status_code
            assert problem["detail"]
            assert problem["title"]
        return answer

    def json(
        self, method: str, path: str, body: Any = None, *, expect: int = 200, **headers: str
    ) -> Any:
        return json.loads(self.call(method, path, body, expect=expect, **headers).data)


@contextmanager
def kept_connection() -> Iterator[None]:
    """A request must not end the transaction that the test runs in; as Django's own client does."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    try:
        yield
    finally:
        for signal in signals:
            signal.connect(close_old_connections)
