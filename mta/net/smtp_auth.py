"""AUTH at a smart host: PLAIN (RFC 4616), or LOGIN where that is all there is (RFC 4954).

Rule 1: nothing of a password is written to a connection without TLS.
Rule 2: no exception and no repr has the password, nor the line that carries it.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field

from mta.mail.reply import Reply
from mta.net.smtp_envelope import Offer
from mta.net.smtp_protocol import PipelinedProtocol


@dataclass(frozen=True, slots=True)
class Login:
    """A name and its password at a smart host."""

    username: str
    password: str = field(repr=False)


class AuthFailed(Exception):
    """The log-in did not work; `reply` is what the peer said of it, `text` tells what to do."""

    def __init__(self, text: str, reply: Reply | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.reply = reply


async def log_in(
    protocol: PipelinedProtocol, login: Login, offer: Offer, encrypted: bool, seconds: float
) -> None:
    """Log in, waiting `seconds` for each reply. Raises AuthFailed and ConnectionBroken."""
    if not encrypted:
        raise AuthFailed(
            "the connection is not encrypted, and a password is never sent in the clear: "
            "set TLS of the source to required"
        )
    if "PLAIN" in offer.mechanisms:
        token = encoded(f"\0{login.username}\0{login.password}")
        reply = await protocol.command(b"AUTH PLAIN " + token, seconds)
    elif "LOGIN" in offer.mechanisms:
        reply = await protocol.command(b"AUTH LOGIN", seconds)
        for word in (login.username, login.password):
            if reply.code == 334:
                reply = await protocol.command(encoded(word), seconds)
    else:
        known = " ".join(sorted(offer.mechanisms)) or "none"
        raise AuthFailed(f"the smart host offers neither AUTH PLAIN nor LOGIN (it offers: {known})")
    if reply.code != 235:
        raise AuthFailed("the smart host refused the log-in", reply)


def encoded(word: str) -> bytes:
    """Base64, so that no character of a password can end the line."""
    return b64encode(word.encode())
