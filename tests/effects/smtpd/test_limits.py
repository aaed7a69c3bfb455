"""Connections, time-outs, memory, and the end of the process."""

from __future__ import annotations

import contextlib
import threading

from mta.smtpd.config import Kind
from tests.effects.smtpd.listener import LETTER, RawClient

ENVELOPE = b"MAIL FROM:<a@acme.example>\r\nRCPT TO:<b@remote.example>\r\nDATA\r\n"


def open_data(client: RawClient) -> None:
    client.ask(b"EHLO x\r\n")
    client.say(ENVELOPE)
    assert [client.reply()[:3] for _ in range(3)] == [b"250", b"250", b"354"]


def test_connections_per_address_and_in_all(start):
    listener = start(max_connections=3, max_connections_per_ip=2)
    port = listener.ports[Kind.RELAY]
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(RawClient(port))
        stack.enter_context(RawClient(port))
        with RawClient(port, greet=False) as third:
            assert third.rest() == b"421 4.7.0 Too many connections; try again later\r\n"
        stack.enter_context(RawClient(port, source="127.0.0.2"))
        with RawClient(port, source="127.0.0.3", greet=False) as fifth:
            assert fifth.rest().startswith(b"421 4.7.0")
        assert first.ask(b"QUIT\r\n").startswith(b"221")
        assert first.rest() == b""
        stack.enter_context(RawClient(port))


def test_a_silent_client_is_timed_out(start):
    listener = start(idle_timeout=0.3)
    with RawClient(listener.ports[Kind.RELAY]) as client:
        assert client.rest() == b"421 4.4.2 Time-out; closing connection\r\n"


def test_half_a_command_does_not_count_as_progress(start):
    listener = start(idle_timeout=0.5)
    with RawClient(listener.ports[Kind.RELAY]) as client:
        stop = threading.Event()

        def drip() -> None:
            with contextlib.suppress(OSError):
                while not stop.wait(0.05):
                    client.say(b"N")

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            assert client.reply().startswith(b"421 4.4.2")
        finally:
            stop.set()
            thread.join()


def test_content_that_drips_for_too_long_is_cut(start):
    listener = start(idle_timeout=1.0, content_timeout=0.4)
    with RawClient(listener.ports[Kind.RELAY]) as client:
        open_data(client)
        stop = threading.Event()

        def drip() -> None:
            with contextlib.suppress(OSError):
                while not stop.wait(0.05):
                    client.say(b"x")

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            assert client.reply().startswith(b"421 4.4.2")
        finally:
            stop.set()
            thread.join()


def test_a_handshake_that_never_comes_is_cut(start):
    listener = start(handshake_timeout=0.3)
    with RawClient(listener.ports[Kind.SMTPS], greet=False) as client:
        assert client.rest() == b""
    assert listener.server.hub.gate.open == 0


def test_too_much_content_at_once_is_put_off(start, door):
    listener = start(max_content_bytes=100_000)
    port = listener.ports[Kind.RELAY]
    with RawClient(port) as client, RawClient(port) as second:
        open_data(client)
        client.say(LETTER + b"x" * 200_000)
        client.say(b"\r\n.\r\n")
        assert client.reply().startswith(b"452 4.3.1")
        open_data(second)
        assert second.ask(LETTER + b".\r\n").startswith(b"250")
        assert listener.server.hub.content_bytes == 0
    assert len(door.stored) == 1


def test_a_message_of_the_largest_size(start, door):
    listener = start(max_message_bytes=3_000_000)
    content = LETTER + (b"y" * 70 + b"\r\n") * ((3_000_000 - len(LETTER)) // 72)
    with RawClient(listener.ports[Kind.RELAY]) as client:
        open_data(client)
        assert client.ask(content + b".\r\n").startswith(b"250")
        open_data(client)
        assert client.ask(content + b"z" * 72 + b"\r\n.\r\n").startswith(b"552 5.3.4")
        assert client.ask(b"MAIL FROM:<> SIZE=3000001\r\n").startswith(b"552 5.3.4")
    assert len(door.stored) == 1


def test_a_client_that_does_not_read_is_not_read_from(listener):
    with RawClient(listener.ports[Kind.RELAY]) as client:
        client.ask(b"EHLO x\r\n")
        client.ask(b"MAIL FROM:<a@acme.example>\r\n")
        client.socket.settimeout(0.5)
        said = 0
        with contextlib.suppress(TimeoutError):
            # a server that went on reading would fill its memory with replies
            while said < 200_000_000:
                said += client.socket.send(b"RCPT TO:<b@remote.example>\r\n" * 10_000)
        assert said < 200_000_000
        assert listener.server.hub.content_bytes < 10_000_000


def test_shutdown_finishes_content_and_sends_the_others_home(start, door):
    listener = start(drain_seconds=10.0)
    port = listener.ports[Kind.RELAY]
    with RawClient(port) as busy, RawClient(port) as idle:
        open_data(busy)
        stopping = listener.submit(listener.server.stop())
        assert idle.rest() == b"421 4.3.2 Shutting down; try again later\r\n"
        busy.say(LETTER + b".\r\n")
        assert busy.reply().startswith(b"250 2.0.0 Queued as ")
        assert busy.rest().startswith(b"421 4.3.2")
        stopping.result(15)
    assert len(door.stored) == 1


def test_shutdown_does_not_wait_for_ever(start):
    listener = start(drain_seconds=0.3)
    with RawClient(listener.ports[Kind.RELAY]) as client:
        open_data(client)
        listener.run(listener.server.stop())
        assert client.rest() == b""
