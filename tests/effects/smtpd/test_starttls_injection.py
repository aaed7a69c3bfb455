"""STARTTLS over a real socket: clear text behind it closes the connection."""

from __future__ import annotations

import ssl
import warnings

import pytest

from mta.smtpd.config import Kind
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
