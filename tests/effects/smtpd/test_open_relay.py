"""Never an open relay: who may use which listener, and as which sender."""

from __future__ import annotations

import dataclasses
from base64 import b64encode

import pytest

from mta.smtpd.config import Kind
from tests.effects.smtpd.listener import LETTER, RawClient
from tests.effects.smtpd.paper_door import ACME, DOMAINS

ENVELOPE = b"MAIL FROM:<%s>\r\nRCPT TO:<b@remote.example>\r\nDATA\r\n"


def plain(name: bytes, password: bytes) -> bytes:
    return b"AUTH PLAIN " + b64encode(b"\0" + name + b"\0" + password) + b"\r\n"


def send(client: RawClient, sender: bytes, content: bytes = LETTER) -> bytes:
    """The reply to MAIL when it is refused, else to the dot."""
    reply = client.ask(b"MAIL FROM:<" + sender + b">\r\n")
    if not reply.startswith(b"250"):
        return reply
    assert client.ask(b"RCPT TO:<b@remote.example>\r\n").startswith(b"250")
    assert client.ask(b"DATA\r\n").startswith(b"354")
    return client.ask(content + b".\r\n")


@pytest.fixture
def login(listener, client_tls):
    """login(name, password): a client inside TLS on the submission listener."""
    clients = []

    def log_in(name: bytes, password: bytes, kind: Kind = Kind.SUBMISSION) -> RawClient:
        client = RawClient(listener.ports[kind])
        clients.append(client)
        client.ask(b"EHLO x\r\n")
        client.start_tls(client_tls)
        client.ask(b"EHLO x\r\n")
        assert client.ask(plain(name, password)).startswith(b"235")
        return client

    yield log_in
    for client in clients:
        client.__exit__()


@pytest.mark.parametrize("kind", [Kind.RELAY, Kind.SUBMISSION])
def test_a_client_outside_the_networks_needs_auth(listener, door, kind):
    with RawClient(listener.ports[kind], source="127.0.0.2") as client:
        client.ask(b"EHLO x\r\n")
        assert send(client, b"a@acme.example").startswith(b"530 5.7.0")
    assert door.stored == []


def test_an_allowed_network_counts_for_the_relay_listener_only(listener):
    with RawClient(listener.ports[Kind.SUBMISSION]) as client:
        client.ask(b"EHLO x\r\n")
        assert send(client, b"a@acme.example").startswith(b"530 5.7.0")


def test_no_networks_no_relay(start):
    listener = start(relay_networks=())
    with RawClient(listener.ports[Kind.RELAY]) as client:
        client.ask(b"EHLO x\r\n")
        assert send(client, b"a@acme.example").startswith(b"530 5.7.0")


def test_a_network_client_sends_only_for_domains_that_somebody_owns(listener, door):
    with RawClient(listener.ports[Kind.RELAY]) as client:
        client.ask(b"EHLO x\r\n")
        refusal = send(client, b"a@unknown.example")
        assert refusal.startswith(b"550 5.7.1 unknown.example is not a sending domain")
        assert send(client, b"f@frozen.example").startswith(b"550 5.7.1 Sending is suspended")
        assert send(client, b"a@acme.example").startswith(b"250")
    assert [stored.tenant_id for stored in door.stored] == [1]


def test_header_and_envelope_belong_to_one_tenant(listener):
    with RawClient(listener.ports[Kind.RELAY]) as client:
        client.ask(b"EHLO x\r\n")
        refusal = send(client, b"g@globex.example")
        assert refusal.startswith(
            b"550 5.7.1 acme.example is not a sending domain of tenant globex"
        )


def test_mail_without_a_reverse_path_belongs_to_the_tenant_of_from(listener, door):
    with RawClient(listener.ports[Kind.RELAY]) as client:
        client.ask(b"EHLO x\r\n")
        assert send(client, b"").startswith(b"250")
        foreign = LETTER.replace(b"acme.example", b"unknown.example")
        assert send(client, b"", foreign).startswith(b"550 5.7.1 unknown.example")
        frozen = LETTER.replace(b"acme.example", b"frozen.example")
        assert send(client, b"", frozen).startswith(b"550 5.7.1 Sending is suspended")
    [stored] = door.stored
    assert (stored.tenant_id, stored.reverse_path) == (1, "")


@pytest.mark.parametrize("kind", [Kind.SUBMISSION, Kind.RELAY])
def test_a_credential_sends_as_its_own_domains_only(login, door, kind):
    client = login(b"acme-app", b"correct horse", kind)
    assert send(client, b"g@globex.example").startswith(b"550 5.7.1 globex.example")
    assert send(client, b"a@sub.acme.example").startswith(b"550 5.7.1 sub.acme.example")
    foreign = LETTER.replace(b"a@acme.example", b"g@globex.example")
    assert send(client, b"a@acme.example", foreign).startswith(b"550 5.7.1 globex.example")
    both = LETTER.replace(b"a@acme.example", b"a@acme.example, g@globex.example")
    assert send(client, b"a@acme.example", both).startswith(b"550 5.7.1 globex.example")
    assert send(client, b"", foreign).startswith(b"550 5.7.1 globex.example")
    assert send(client, b"").startswith(b"250")
    assert send(client, b"a@acme2.example").startswith(b"250")
    assert len(door.stored) == 2


def test_a_suspended_tenant_sends_nothing(login, door):
    client = login(b"frozen-app", b"on ice")
    assert send(client, b"f@frozen.example").startswith(b"550 5.7.1 Sending is suspended")
    assert send(client, b"").startswith(b"550 5.7.1 Sending is suspended")


def test_a_suspension_acts_in_open_sessions(login, door, monkeypatch):
    client = login(b"acme-app", b"correct horse")
    monkeypatch.setitem(DOMAINS, "acme.example", dataclasses.replace(ACME, suspended=True))
    assert send(client, b"").startswith(b"550 5.7.1 Sending is suspended")
    assert door.stored == []


def test_an_old_session_must_authenticate_again(start, client_tls):
    listener = start(auth_lifetime=-1.0)
    with RawClient(listener.ports[Kind.SUBMISSION]) as client:
        client.ask(b"EHLO x\r\n")
        client.start_tls(client_tls)
        client.ask(b"EHLO x\r\n")
        assert client.ask(plain(b"acme-app", b"correct horse")).startswith(b"235")
        assert send(client, b"a@acme.example").startswith(b"421 4.7.0 Session is too old")
        assert client.rest() == b""


def test_wrong_name_and_wrong_password_look_the_same(listener, client_tls):
    answers = set()
    for name, password in ((b"acme-app", b"wrong"), (b"nobody", b"correct horse")):
        with RawClient(listener.ports[Kind.SUBMISSION]) as client:
            client.ask(b"EHLO x\r\n")
            client.start_tls(client_tls)
            client.ask(b"EHLO x\r\n")
            answers.add(client.ask(plain(name, password)))
    assert answers == {b"535 5.7.8 User name or password is wrong\r\n"}


def test_a_credential_without_the_scope_sends_nothing(listener, client_tls):
    with RawClient(listener.ports[Kind.SUBMISSION]) as client:
        client.ask(b"EHLO x\r\n")
        client.start_tls(client_tls)
        client.ask(b"EHLO x\r\n")
        assert client.ask(plain(b"reader", b"only reads")).startswith(b"550 5.7.1")
        assert send(client, b"a@acme.example").startswith(b"530")


def test_a_database_that_is_gone_is_no_wrong_password(listener, door, client_tls):
    with RawClient(listener.ports[Kind.SUBMISSION]) as client:
        client.ask(b"EHLO x\r\n")
        client.start_tls(client_tls)
        client.ask(b"EHLO x\r\n")
        door.broken = True
        assert client.ask(plain(b"acme-app", b"correct horse")).startswith(b"454 4.7.0")


def test_an_unknown_stream_is_named(listener):
    with RawClient(listener.ports[Kind.RELAY]) as client:
        client.ask(b"EHLO x\r\n")
        refusal = send(client, b"a@acme.example", b"X-Mailmill-Stream: none\r\n" + LETTER)
        assert refusal.startswith(b"550 5.6.0 There is no stream named none")
