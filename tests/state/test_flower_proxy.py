"""/flower/: staff may look, operators may act, and nobody's session leaves the house."""

from __future__ import annotations

import threading
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.test import Client

from dashboard import flower as config
from dashboard import flower_proxy
from mta.tenants.models import User

BODY = b"x" * 300_000
OURS = {"Sec-Fetch-Site": "same-origin"}


@dataclass
class FakeFlower:
    """Answers like Flower and keeps what it was asked."""

    server: ThreadingHTTPServer
    requests: list[tuple[str, str, Message, bytes]] = field(default_factory=list)
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "text/html"})


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeFlower]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            told.requests.append((self.command, self.path, self.headers, body))
            self.send_response(told.status)
            for name, value in told.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(BODY)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(BODY)

        do_GET = do_HEAD = do_POST = answer

        def log_message(self, *args: object) -> None:
            """Not into the test's output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told = FakeFlower(server)
    monkeypatch.setattr(config, "address", "127.0.0.1")
    monkeypatch.setattr(config, "port", server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield told
    server.shutdown()
    thread.join()
    server.server_close()


def read(response: Any) -> bytes:
    return b"".join(response.streaming_content)


def client_of(**values: Any) -> Client:
    user = User.objects.create_user("somebody", **values)
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def operator(db: None) -> Client:
    return client_of(is_staff=True, role="operator")


@pytest.fixture
def marketer(db: None) -> Client:
    return client_of(is_staff=True, role="marketer")


def test_the_answer_comes_through_with_path_and_query(operator: Client, fake: FakeFlower) -> None:
    response = operator.get("/flower/tasks?limit=5&name=de%20liver")
    assert response.status_code == 200
    assert response["Content-Type"] == "text/html"
    assert read(response) == BODY
    method, path, _, _ = fake.requests[0]
    assert (method, path) == ("GET", "/flower/tasks?limit=5&name=de%20liver")


def test_flower_sees_its_own_password_and_no_session(operator: Client, fake: FakeFlower) -> None:
    read(operator.get("/flower/", headers={"Authorization": "Bearer mine"}))
    headers = fake.requests[0][2]
    assert headers["Authorization"] == f"Basic {b64encode(config.basic_auth[0].encode()).decode()}"
    assert "Cookie" not in headers


def test_flower_sets_no_cookie_on_our_origin(operator: Client, fake: FakeFlower) -> None:
    fake.headers = {"Content-Type": "text/html", "Set-Cookie": "sessionid=stolen", "Server": "T"}
    response = operator.get("/flower/")
    read(response)
    assert "sessionid" not in response.cookies
    assert "Server" not in response


def test_redirects_and_errors_come_through(operator: Client, fake: FakeFlower) -> None:
    fake.status, fake.headers = 302, {"Location": "/flower/workers"}
    response = operator.get("/flower/login")
    read(response)
    assert (response.status_code, response["Location"]) == (302, "/flower/workers")


def test_strangers_are_sent_to_the_login(db: None, fake: FakeFlower) -> None:
    response = Client().get("/flower/tasks")
    assert response.status_code == 302
    assert response["Location"] == "/admin/login/?next=/flower/tasks"
    assert not fake.requests


def test_people_without_staff_status_are_refused(db: None, fake: FakeFlower) -> None:
    assert client_of(role="operator").get("/flower/").status_code == 403
    assert not fake.requests


def test_marketers_may_look_but_not_act(marketer: Client, fake: FakeFlower) -> None:
    read(marketer.get("/flower/"))
    response = marketer.post("/flower/api/worker/shutdown/deliver@host", headers=OURS)
    assert response.status_code == 403
    assert [method for method, *_ in fake.requests] == ["GET"]


def test_operators_act_from_our_own_pages(operator: Client, fake: FakeFlower) -> None:
    response = operator.post(
        "/flower/api/worker/pool/grow/x", b"n=1", "application/x-www-form-urlencoded", headers=OURS
    )
    read(response)
    assert response.status_code == 200
    method, _, headers, body = fake.requests[0]
    assert (method, body) == ("POST", b"n=1")
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://testserver"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://testserver"}, 200),
        (OURS, 200),
    ],
)
def test_another_site_cannot_act_in_an_operators_name(
    operator: Client, fake: FakeFlower, headers: dict[str, str], status: int
) -> None:
    response = operator.post("/flower/api/worker/shutdown/x", headers=headers)
    assert response.status_code == status
    if status == 200:
        read(response)
    assert len(fake.requests) == (1 if status == 200 else 0)


def test_other_methods_are_refused(operator: Client, fake: FakeFlower) -> None:
    assert operator.delete("/flower/api/x").status_code == 405
    assert not fake.requests


def test_a_huge_body_is_refused(operator: Client, fake: FakeFlower) -> None:
    body = b"x" * (flower_proxy.LARGEST_BODY + 1)
    response = operator.post("/flower/", body, "application/octet-stream", headers=OURS)
    assert response.status_code == 413
    assert not fake.requests


def test_a_flower_that_is_down_is_explained(operator: Client, fake: FakeFlower) -> None:
    fake.server.server_close()
    response = operator.get("/flower/")
    assert response.status_code == 502
    assert f"127.0.0.1:{config.port}" in response.content.decode()


def test_the_password_depends_on_the_secret_key(settings: Any) -> None:
    name, _, password = config.basic_auth[0].partition(":")
    assert name == "dashboard"
    assert len(password) == 64
    assert settings.SECRET_KEY not in password
