"""What one message needs on the wire, as bytes, or why this peer cannot take it; no I/O.

Rule 1: what the peer did not offer is never asked of it: SMTPUTF8 and 8BITMIME and SIZE refuse
        here, DSN parameters are left out (RFC 3461 5.2.2: relaying to a peer without DSN).
Rule 2: a control character in an address or option can never reach the wire.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mta.mail.reply import Reply

CONTROL = re.compile("[\x00-\x1f\x7f]")
DSN_KEYWORDS = frozenset(("RET", "ENVID", "NOTIFY", "ORCPT"))


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait at each stage (RFC 5321 4.5.3.2); `block` is for each stretch of content."""

    connect: float = 60
    greeting: float = 300
    ehlo: float = 300
    mail: float = 300
    rcpt: float = 300
    data: float = 120
    block: float = 180
    dot: float = 600
    quit: float = 5


class Transaction(NamedTuple):
    """One message to one forward path; `key` comes back in its Outcome."""

    key: int
    #: "" is the null reverse path
    reverse_path: str
    forward_path: str
    #: wire form: CRLF line ends, not dot-stuffed
    content: bytes
    eight_bit: bool = False
    smtputf8: bool = False
    mail_options: tuple[str, ...] = ()
    rcpt_options: tuple[str, ...] = ()


class Outcome(NamedTuple):
    """What became of a transaction; `reply` decides, `error` tells why there is none."""

    key: int
    delivered: bool
    #: connect ehlo starttls mail rcpt data dot, or local when the peer was never asked
    stage: str
    reply: Reply | None
    error: str
    #: False: the peer has not judged it and has no content of it; it may go elsewhere at once
    attempted: bool


@dataclass(frozen=True, slots=True)
class Offer:
    """What the peer offered in EHLO: upper-case keywords, and the SIZE limit (0: none told)."""

    keywords: frozenset[str] = frozenset()
    size: int = 0
    #: Mechanisms of AUTH, upper case (RFC 4954 3).
    mechanisms: frozenset[str] = frozenset()


class Envelope(NamedTuple):
    """The commands of a transaction, each with its CRLF."""

    transaction: Transaction
    mail: bytes
    rcpt: bytes

    @property
    def key(self) -> int:
        """The transaction's."""
        return self.transaction.key


def parse_offer(lines: Sequence[str]) -> Offer:
    """The Offer in the lines of an EHLO reply, the greeting line first (RFC 5321 4.1.1.1)."""
    keywords = set()
    size = 0
    mechanisms: set[str] = set()
    for line in lines[1:]:
        keyword, _, value = line.partition(" ")
        keywords.add(keyword.upper())
        if keyword.upper() == "AUTH":
            mechanisms.update(value.upper().split())
        if keyword.upper() == "SIZE" and value.strip().isdecimal():
            size = int(value.strip()[:20])
    return Offer(frozenset(keywords), size, frozenset(mechanisms))


def prepare(transaction: Transaction, offer: Offer) -> Envelope | Outcome:
    """The commands for `transaction`, or the Outcome that says why this peer cannot take it."""
    refusal = _refusal(transaction, offer)
    if refusal is not None:
        return Outcome(transaction.key, False, "local", refusal, "", True)
    mail = f"MAIL FROM:<{transaction.reverse_path}>"
    rcpt = f"RCPT TO:<{transaction.forward_path}>"
    if "SIZE" in offer.keywords:
        mail += f" SIZE={len(transaction.content)}"
    if transaction.eight_bit:
        mail += " BODY=8BITMIME"
    if _needs_smtputf8(transaction):
        mail += " SMTPUTF8"
    if transaction.mail_options:
        mail += _options(transaction.mail_options, offer)
    if transaction.rcpt_options:
        rcpt += _options(transaction.rcpt_options, offer)
    return Envelope(transaction, mail.encode() + b"\r\n", rcpt.encode() + b"\r\n")


def _options(options: tuple[str, ...], offer: Offer) -> str:
    dsn = "DSN" in offer.keywords
    return "".join(
        f" {option}"
        for option in options
        if dsn or option.partition("=")[0].upper() not in DSN_KEYWORDS
    )


def _needs_smtputf8(transaction: Transaction) -> bool:
    return transaction.smtputf8 or not (
        transaction.reverse_path.isascii() and transaction.forward_path.isascii()
    )


def _refusal(transaction: Transaction, offer: Offer) -> Reply | None:
    for words in (transaction.mail_options, transaction.rcpt_options):
        if words and CONTROL.search("".join(words)):
            return Reply(555, "5.5.4", "an option contains a control character")
    if CONTROL.search(transaction.reverse_path):
        return Reply(553, "5.1.7", "reverse path contains a control character")
    if CONTROL.search(transaction.forward_path):
        return Reply(553, "5.1.3", "forward path contains a control character")
    if _needs_smtputf8(transaction) and "SMTPUTF8" not in offer.keywords:
        return Reply(550, "5.6.7", "the peer does not take internationalised addresses (SMTPUTF8)")
    if offer.size and len(transaction.content) > offer.size:
        return Reply(
            552,
            "5.3.4",
            f"message of {len(transaction.content)} octets is over the "
            f"peer's limit of {offer.size}",
        )
    if transaction.eight_bit and "8BITMIME" not in offer.keywords:
        return Reply(554, "5.6.3", "the peer does not take 8-bit content (8BITMIME)")
    return None
