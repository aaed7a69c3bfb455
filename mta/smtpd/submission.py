"""A message between the SMTP session and the spool, and whoever hands it in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mta.mail.smtp_events import EnvelopeRecipient
from mta.mail.smtp_message import Instructions


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf a session sends."""

    tenant_id: int
    tenant_name: str
    #: The tenant may not send now.
    suspended: bool = False
    #: The credential has the scope "send"; clients of an allowed network have it.
    may_send: bool = True
    #: A quota refuses what is too much: each message is counted before it is stored.
    counted: bool = False


@dataclass(frozen=True, slots=True)
class Judged:
    """What the operator's policy says of a message."""

    #: Its campaign, tags and metadata, changed or not.
    instructions: Instructions
    #: Why it is refused, for the client; "" when it is not.
    refusal: str = ""
    #: The refusal is for now: the policy met an error.
    later: bool = False


@dataclass(frozen=True, slots=True)
class Counted:
    """Whether a message's recipients fit into the quota."""

    #: Why not, for the client; "" when they do.
    refusal: str = ""
    #: Uncounts them; for a message that could not be stored. Blocks.
    undo: Callable[[], None] | None = None


class Submission(NamedTuple):
    """One message with everything the spool wants to know."""

    message_id: int
    tenant_id: int
    stream_id: int
    #: "" is the null reverse path.
    reverse_path: str
    sender_domain: str
    content: bytes
    recipients: Sequence[EnvelopeRecipient]
    subject: str
    instructions: Instructions
    smtputf8: bool
    #: As given in MAIL: xtext, "FULL" or "HDRS".
    envid: str
    ret: str
