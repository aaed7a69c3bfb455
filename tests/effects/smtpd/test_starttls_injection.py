"""STARTTLS over a real socket: clear text behind it closes the connection."""

from __future__ import annotations

import asyncio
import ssl
import warnings

import pytest

from mta.smtpd.config import Kind
from mta.smtpd.server import loop_factory
from tests.effects.smtpd.listener import RawClient

INJECTED = b"EHLO evil\r\nMAIL FROM:<a@acme.example>\r\nRCPT TO:<v@remote.example>\r\nDATA\r\n"


def test_commands_in_the_packet_of_starttls_close_the_connection(listener, door):
    with RawClient(listener.ports[Kind.RELAY]) as client:
        client.ask(b"EHLO x\r\n")
        client.say(b"STARTTLS\r\n" + INJECTED)
        assert client.rest() == b"554 5.5.1 Commands after STARTTLS; closing connection\r\n"
    assert door.stored == []


def test_commands_ahead_of_the_handshake_never_reach_the_session(listener, door, client_tls):
    with RawClient(listener.ports[Kind.RELAY]) as client:
        client.ask(b"EHLO x\r\n")
        assert client.ask(b"STARTTLS\r\n").startswith(b"220")
        client.say(INJECTED)
        with pytest.raises((ssl.SSLError, OSError)):
            client_tls.wrap_socket(client.socket, server_hostname="mill.example").recv(1)
    assert door.stored == []


def test_the_session_inside_tls_begins_anew(listener, client_tls):
    with RawClient(listener.ports[Kind.RELAY]) as client:
        client.ask(b"EHLO x\r\n")
        client.ask(b"MAIL FROM:<a@acme.example>\r\n")
        client.start_tls(client_tls)
        assert client.ask(b"RCPT TO:<v@remote.example>\r\n").startswith(b"503")
        offered = client.ask(b"EHLO x\r\n")
        assert b"AUTH PLAIN LOGIN" in offered
        assert b"STARTTLS" not in offered


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, loop_factory()])
def test_words_that_come_with_the_end_of_the_handshake_are_heard(start, client_tls, new_loop):
    listener = start(new_loop)
    with RawClient(listener.ports[Kind.RELAY]) as client:
        client.ask(b"EHLO x\r\n")
        assert client.ask(b"STARTTLS\r\n").startswith(b"220")
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        inside = client_tls.wrap_bio(incoming, outgoing, server_hostname="mill.example")
        done = False
        while not done:
            try:
                inside.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                client.say(outgoing.read())
                incoming.write(client.socket.recv(65536))
        inside.write(b"EHLO y\r\n")
        client.say(outgoing.read())  # one packet: Finished, and the first command
        answer = b""
        while b"AUTH PLAIN LOGIN\r\n" not in answer:
            try:
                answer += inside.read()
            except ssl.SSLWantReadError:
                incoming.write(client.socket.recv(65536))
        assert answer.startswith(b"250-mill.example greets y\r\n")


def test_old_tls_is_refused(listener):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with RawClient(listener.ports[Kind.RELAY]) as client:
        client.ask(b"EHLO x\r\n")
        with pytest.raises((ssl.SSLError, OSError)):
            client.start_tls(context)
