"""AUTH PLAIN (RFC 4616) and AUTH LOGIN as exchanges of lines, without a password store."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from mta.mail import smtp_replies as replies
from mta.mail.reply import Reply

MECHANISMS: Final = ("PLAIN", "LOGIN")
#: Prompts of the steps, base64: PLAIN's is empty, LOGIN asks for user name, then password.
PROMPTS: Final[dict[str, tuple[str, ...]]] = {
    "PLAIN": ("",),
    "LOGIN": ("VXNlcm5hbWU6", "UGFzc3dvcmQ6"),
}


@dataclass(frozen=True, slots=True)
class Challenge:
    """The next prompt, to be sent as `334 prompt`."""

    prompt: str


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the client claims to be."""

    username: str
    password: str = field(repr=False)


Step = Challenge | Credentials | Reply


class Exchange:
    """One AUTH command from its first line to the credentials or a refusal."""

    def __init__(self, mechanism: str) -> None:
        self._prompts = PROMPTS[mechanism]
        self._answers: list[bytes] = []

    def begin(self, initial: str) -> Step:
        """The argument after the mechanism; "" when the client waits for the prompt."""
        return self.step(initial.encode()) if initial else Challenge(self._prompts[0])

    def step(self, line: bytes) -> Step:
        """One line of the client: the next challenge, the credentials, or a final refusal."""
        if line == b"*":
            return replies.AUTH_CANCELLED
        try:
            # RFC 4954 section 4: "=" stands for an empty response
            answer = b"" if line == b"=" else base64.b64decode(line, validate=True)
        except binascii.Error:
            return replies.AUTH_BASE64
        self._answers.append(answer)
        if len(self._answers) < len(self._prompts):
            return Challenge(self._prompts[len(self._answers)])
        return credentials(self._answers)


def credentials(answers: Sequence[bytes]) -> Credentials | Reply:
    """Read PLAIN's one answer or LOGIN's two; a Reply says what is wrong with them."""
    parts = list(answers)
    if len(parts) == 1:
        authorise_as, *parts = parts[0].split(b"\0")
        if len(parts) != 2:
            return replies.AUTH_BASE64
        if authorise_as not in (b"", parts[0]):
            return replies.AUTH_REFUSED
    try:
        username, password = (part.decode() for part in parts)
    except UnicodeDecodeError:
        return replies.AUTH_BASE64
    if not username or not password or "\0" in username + password:
        return replies.AUTH_BASE64
    return Credentials(username, password)
