"""A message as it was handed in by SMTP, made into the message that leaves.

Rule 1: one readable From field, or the message is refused: its domain decides who may send it.
Rule 2: X-Mailmill-* fields are instructions for us; they are read, checked and taken out.
Rule 3: everything else stays byte for byte, see headers.complete.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.header import decode_header, make_header
from typing import Any, Final

from mta.mail import headers
from mta.mail.reply import Reply

#: RFC 5321 6.3: more Received fields than this are a loop, not a long way.
MAX_HOPS: Final = 50
MAX_CAMPAIGN: Final = 128
MAX_TAGS: Final = 20
MAX_TAG: Final = 64
MAX_METADATA: Final = 8192
MAX_SUBJECT: Final = 200
PREFIX: Final = b"x-mailmill-"
KNOWN: Final = frozenset({"stream", "campaign", "tags", "metadata", "engaged"})
YES_OR_NO: Final = {"yes": True, "no": False, "": False}

LOOP: Final = Reply(554, "5.4.6", f"Mail loop: more than {MAX_HOPS} Received fields")
NO_FROM: Final = Reply(
    550, "5.7.1", "Message needs exactly one From field with plain addresses (RFC 5322 3.6.2)"
)


@dataclass(frozen=True, slots=True)
class Instructions:
    """What the X-Mailmill-* fields ask for."""

    #: Name of the stream; "" is the tenant's default.
    stream: str = ""
    campaign: str = ""
    tags: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    #: The recipients are known to read: of bulk mail they go first.
    engaged: bool = False


NO_INSTRUCTIONS: Final = Instructions()


@dataclass(frozen=True, slots=True)
class Prepared:
    """A message that may be stored once its sender is known to be allowed."""

    content: bytes = field(repr=False)
    #: Domains of the addresses in From, in order, without repetition.
    from_domains: tuple[str, ...]
    #: Decoded, unfolded, at most 200 characters.
    subject: str
    instructions: Instructions


def prepare(raw: bytes, *, received: bytes, date: datetime, message_id: str) -> Prepared | Reply:
    """Complete the header section and read it; a Reply says why the message is refused.

    raw is in wire form; message_id (without angle brackets) and date are used when missing.
    """
    fields, body = headers.completed(raw, date=date, message_id=message_id)
    hops, subject, ours = 0, "", False
    senders: list[bytes] = []
    for name, whole in fields:
        if name == b"received":
            hops += 1
        elif name == b"from":
            senders.append(whole)
        elif name == b"subject":
            subject = subject or decoded(text_of(whole))
        elif name.startswith(PREFIX):
            ours = True
    if hops > MAX_HOPS:
        return LOOP
    addresses = headers.addresses_of(senders[0]) if len(senders) == 1 else ()
    if not addresses:
        return NO_FROM
    instructions: Instructions | Reply = NO_INSTRUCTIONS
    if ours:
        instructions, fields = taken_out(fields)
    if isinstance(instructions, Reply):
        return instructions
    return Prepared(
        content=received + headers.joined(fields, body),
        from_domains=tuple(dict.fromkeys([address.domain for address in addresses])),
        subject=subject,
        instructions=instructions,
    )


def taken_out(fields: list[headers.Field]) -> tuple[Instructions | Reply, list[headers.Field]]:
    """The instructions, or why they do not fit; and the fields without them."""
    asked: dict[str, str] = {}
    kept: list[headers.Field] = []
    for name, whole in fields:
        if name.startswith(PREFIX):
            asked[name[len(PREFIX) :].decode()] = text_of(whole)
        else:
            kept.append((name, whole))
    return read_instructions(asked), kept


def read_instructions(asked: Mapping[str, str]) -> Instructions | Reply:
    """X-Mailmill-NAME values by lower-case NAME; a Reply names the field that does not fit."""
    for problem in problems(asked):
        return Reply(550, "5.6.0", problem)
    return Instructions(
        stream=asked.get("stream", ""),
        campaign=asked.get("campaign", ""),
        tags=split_tags(asked.get("tags", "")),
        metadata=json.loads(asked["metadata"]) if "metadata" in asked else {},
        engaged=YES_OR_NO[asked.get("engaged", "").lower()],
    )


def problems(asked: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with the instructions, each with what would be right."""
    for name in asked.keys() - KNOWN:
        known = "Stream, Campaign, Tags, Metadata or Engaged"
        yield f"X-Mailmill-{name[:40]} is not known; use {known}"
    if len(asked.get("campaign", "")) > MAX_CAMPAIGN:
        yield f"X-Mailmill-Campaign is longer than {MAX_CAMPAIGN} characters"
    tags = split_tags(asked.get("tags", ""))
    if len(tags) > MAX_TAGS or any(len(tag) > MAX_TAG for tag in tags):
        yield f"X-Mailmill-Tags takes {MAX_TAGS} tags of {MAX_TAG} characters at most"
    if "metadata" in asked and not is_metadata(asked["metadata"]):
        yield f"X-Mailmill-Metadata must be a JSON object of at most {MAX_METADATA} characters"
    if asked.get("engaged", "").lower() not in YES_OR_NO:
        yield "X-Mailmill-Engaged takes yes or no"


def split_tags(text: str) -> tuple[str, ...]:
    """The comma list without blanks and repetitions."""
    return tuple(dict.fromkeys(tag for part in text.split(",") if (tag := part.strip())))


def is_metadata(text: str) -> bool:
    if len(text) > MAX_METADATA:
        return False
    try:
        return isinstance(json.loads(text, parse_constant=refuse_constant), dict)
    except (ValueError, RecursionError):
        return False


def refuse_constant(name: str) -> None:
    """NaN and Infinity are Python's, not JSON's (RFC 8259 section 6)."""
    raise ValueError(f"{name} is not JSON")


def text_of(whole: bytes) -> str:
    """A whole field's value, unfolded; bytes that are not UTF-8 are replaced."""
    return headers.value(whole).decode("utf-8", "replace")


def decoded(text: str) -> str:
    """RFC 2047 words decoded for people to read; kept as they are when they are broken."""
    if "=?" in text:
        try:
            text = str(make_header(decode_header(text)))
        except (ValueError, LookupError):
            return text[:MAX_SUBJECT]
    return text[:MAX_SUBJECT]
