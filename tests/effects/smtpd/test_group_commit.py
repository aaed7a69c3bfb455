"""Sessions share commits, and each message is answered for itself."""

from __future__ import annotations

import contextlib

from mta.mail import ids
from mta.smtpd.config import Kind
from tests.effects.smtpd.listener import LETTER, RawClient

ENVELOPE = b"MAIL FROM:<a@acme.example>\r\nRCPT TO:<b@remote.example>\r\nDATA\r\n"


def hand_in(client: RawClient, content: bytes = LETTER) -> None:
    """Everything up to the dot; the reply to it is still to come."""
    client.say(b"EHLO x\r\n")
    client.reply()
    client.say(ENVELOPE)
    assert [client.reply()[:3] for _ in range(3)] == [b"250", b"250", b"354"]
    client.say(content + b".\r\n")


def waiting(listener) -> int:
    sessions = [connection._session for connection in list(listener.server.hub.connections)]
    return sum(session.waiting for session in sessions)


def until(listener, count: int) -> None:
    """Wait until that many sessions wait for their commit."""
    while waiting(listener) < count:
        listener.run(turn())


async def turn() -> None:
    """One turn of the listener's loop."""


def test_messages_that_wait_together_are_stored_together(listener, door):
    door.may_store.clear()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(RawClient(listener.ports[Kind.RELAY])) for _ in range(12)]
        hand_in(clients[0])
        assert door.storing.wait(15)
        for client in clients[1:]:
            hand_in(client)
        until(listener, 12)
        door.may_store.set()
        replies = [client.reply() for client in clients]
    assert door.groups == [1, 11]
    queued = sorted(reply.split()[-1].decode() for reply in replies)
    assert queued == sorted(ids.encode(stored.message_id) for stored in door.stored)
    assert all(reply.startswith(b"250 2.0.0 Queued as ") for reply in replies)


def test_nothing_is_accepted_before_the_commit(listener, door):
    door.may_store.clear()
    with RawClient(listener.ports[Kind.RELAY]) as client:
        hand_in(client)
        assert door.storing.wait(15)
        client.socket.settimeout(0.2)
        try:
            early = client.socket.recv(1)
        except TimeoutError:
            early = b""
        assert early == b""
        client.socket.settimeout(15)
        door.may_store.set()
        assert client.reply().startswith(b"250 2.0.0")


def test_one_poisonous_message_fails_alone(listener, door):
    door.may_store.clear()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(RawClient(listener.ports[Kind.RELAY])) for _ in range(9)]
        hand_in(clients[0])
        assert door.storing.wait(15)
        for number, client in enumerate(clients[1:], start=1):
            hand_in(client, LETTER.replace(b"hello", b"poison") if number == 4 else LETTER)
        until(listener, 9)
        door.may_store.set()
        replies = [client.reply() for client in clients]
    assert [reply[:9] for reply in replies] == [
        b"451 4.3.0" if number == 4 else b"250 2.0.0" for number in range(9)
    ]
    assert len(door.stored) == 8


def test_a_database_that_is_gone_is_a_451_and_the_session_goes_on(listener, door):
    with RawClient(listener.ports[Kind.RELAY]) as client:
        client.ask(b"EHLO x\r\n")
        door.broken = True
        assert client.ask(b"MAIL FROM:<a@acme.example>\r\n").startswith(b"451 4.3.0")
        door.broken = False
        hand_in(client)
        assert client.reply().startswith(b"250 2.0.0")


def test_a_commit_that_fails_is_a_451(listener, door):
    with RawClient(listener.ports[Kind.RELAY]) as client:
        hand_in(client, LETTER.replace(b"hello", b"poison"))
        assert client.reply().startswith(b"451 4.3.0")
        hand_in(client)
        assert client.reply().startswith(b"250 2.0.0")
    assert len(door.stored) == 1


def test_a_client_that_closes_its_side_still_gets_the_answer(listener, door):
    door.may_store.clear()
    with RawClient(listener.ports[Kind.RELAY]) as client:
        hand_in(client)
        assert door.storing.wait(15)
        client.socket.shutdown(1)
        door.may_store.set()
        assert client.rest().startswith(b"250 2.0.0 Queued as ")
