"""What an SMTP session tells the program around it, and the envelope that it builds.

An event is either a question, on which the session stands still until `accept` or `refuse` is
called (Authenticate, SenderOffered, MessageReceived, UpgradeTls), or the end (Ended).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mta.mail.address import Address


@dataclass(frozen=True, slots=True)
class EnvelopeRecipient:
    """One accepted RCPT command."""

    address: Address
    #: NOTIFY as given, upper case ("NEVER" or a comma list); "" when absent. RFC 3461 4.1
    notify: str = ""
    #: ORCPT as given, `type;xtext`; "" when absent. RFC 3461 4.2
    orcpt: str = ""


@dataclass(slots=True)
class Envelope:
    """One mail transaction from MAIL to the end of the content."""

    #: None is the null reverse path, `<>`.
    reverse_path: Address | None
    #: SIZE as declared, octets; 0 when not declared.
    declared_size: int = 0
    #: BODY=8BITMIME was given.
    eight_bit: bool = False
    #: SMTPUTF8 was given.
    smtputf8: bool = False
    #: "FULL", "HDRS" or "". RFC 3461 4.3
    ret: str = ""
    #: ENVID as given, xtext; "" when absent. RFC 3461 4.4
    envid: str = ""
    recipients: list[EnvelopeRecipient] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Authenticate:
    """A user name and password came in; never print the password."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SenderOffered:
    """MAIL was well formed; may this client use the reverse path (None: `<>`)?"""

    reverse_path: Address | None


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """Envelope and content are complete; accept only when they are stored durably."""

    envelope: Envelope
    #: Strict CRLF lines, dots unstuffed, ends with CRLF.
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class UpgradeTls:
    """Send the output, then begin the TLS handshake, then call `accept`."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Send the output, then close the connection."""

    #: quit | errors | injection | protocol | time-out | busy | auth
    reason: str


Event = Authenticate | SenderOffered | MessageReceived | UpgradeTls | Ended
