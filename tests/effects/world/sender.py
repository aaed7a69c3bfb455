"""A sender for tests of the fake world: looks the MX up in its name server and talks smtplib."""

from __future__ import annotations

import smtplib
import socket

import dns.resolver

from tests.world.client import World

MESSAGE = b"Message-ID: <1@sender.test>\r\nSubject: hello\r\n\r\nbody\r\n"
SENDER = "from@sender.test"


def resolver(world: World) -> dns.resolver.Resolver:
    made = dns.resolver.Resolver(configure=False)
    host, _, port = world.dns.rpartition(":")
    made.nameservers = [host]
    made.port = int(port)
    made.lifetime = 5.0
    return made


def mx_addresses(world: World, domain: str) -> list[str]:
    """Addresses of a domain's MX hosts, best first."""
    ask = resolver(world).resolve
    exchangers = sorted((r.preference, r.exchange) for r in ask(domain, "MX"))
    return [ask(name, "A")[0].address for _, name in exchangers]


def connect(world: World, domain: str, source: str = "127.0.0.1") -> smtplib.SMTP:
    """Connected and greeted; SMTPConnectError for a 421 greeting."""
    address = mx_addresses(world, domain)[0]
    return smtplib.SMTP(address, world.smtp_port, source_address=(source, 0), timeout=10)


def send(session: smtplib.SMTP, recipient: str, content: bytes = MESSAGE) -> str:
    """One transaction; the code and text of the reply that decided."""
    steps = [session.ehlo, lambda: session.mail(SENDER), lambda: session.rcpt(recipient)]
    for step in steps:
        code, text = step()
        if code != 250:
            return f"{code} {text.decode()}"
    code, text = session.data(content)
    return f"{code} {text.decode()}"


def deliver(world: World, recipient: str, source: str = "127.0.0.1") -> str:
    """One message over a connection of its own; what came of it."""
    try:
        with connect(world, recipient.rpartition("@")[2], source) as session:
            return send(session, recipient)
    except smtplib.SMTPServerDisconnected:
        return "dropped"
    except smtplib.SMTPResponseException as error:  # smtplib's way with 421 greetings and DATA
        return f"{error.smtp_code} {error.smtp_error!r}"
    except ConnectionRefusedError:
        return "refused"


def raw(world: World, domain: str) -> socket.socket:
    """A bare connection, not greeted yet."""
    address = mx_addresses(world, domain)[0]
    return socket.create_connection((address, world.smtp_port), timeout=10)


def talk(connection: socket.socket, data: bytes, until: bytes) -> bytes:
    """Send, then read up to `until`, or to the end of the connection."""
    connection.sendall(data)
    got = b""
    while until not in got and (part := connection.recv(65536)):
        got += part
    return got
