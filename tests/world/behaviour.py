"""What a receiving site does to its senders, as data.

Rule 1: a behaviour is one frozen value; `make(name, **options)` takes a preset and replaces
fields of it.
Rule 2: trouble happens at one stage (connect ehlo mail rcpt data dot), `times` times per key,
then no more. The key is the recipient from rcpt on and the whole site before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

STAGES = ("connect", "ehlo", "mail", "rcpt", "data", "dot")
ACTIONS = ("", "reply", "drop", "hold")
TLS_MODES = ("", "works", "required", "broken")
EXTENSIONS = ("PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES")
ALWAYS = -1


@dataclass(frozen=True, slots=True)
class Behaviour:
    #: EHLO keywords besides SIZE and STARTTLS, which have fields of their own.
    offers: tuple[str, ...] = EXTENSIONS
    #: Largest message in octets, announced as SIZE (RFC 1870); 0 announces nothing.
    size: int = 26_214_400
    #: "" no STARTTLS; "works"; "required" (530 at MAIL without it); "broken" (220, then no
    #: handshake).
    tls: str = ""
    #: "" no trouble; "reply" answers `reply`, and hangs up when its code is 421; "drop" hangs up
    #: without a word; "hold" says nothing until `World.release` or the next behaviour, then goes
    #: on as if nothing had been.
    action: str = ""
    #: Where the trouble happens. "data" is in the middle of the content (a reply there answers
    #: DATA itself), "dot" after its end.
    stage: str = "rcpt"
    reply: str = ""
    #: How often per key; ALWAYS (-1) without end.
    times: int = ALWAYS
    #: Client addresses that have the trouble; () is all of them.
    clients: tuple[str, ...] = ()
    #: "user:password" that MAIL needs, offered once TLS is on (RFC 4954, PLAIN); "" offers none.
    auth: str = ""
    #: Does a message whose dot is answered by "drop" or "hold" count as accepted?
    records: bool = True
    #: Seconds that a (sender, recipient, address) triplet is put off from its first sight; 0 = no
    #: greylisting.
    greylist_seconds: float = 0.0
    #: The MAIL after this many messages gets 421 and the connection ends; 0 = no limit.
    messages_per_connection: int = 0
    #: One connection more than this gets a 421 greeting; 0 = no limit.
    max_connections: int = 0
    #: Seconds between the dot and its reply.
    delay: float = 0.0
    #: False: nothing listens at the site's addresses, and open connections are cut.
    listening: bool = True


ACCEPT = Behaviour()
PRESETS: Mapping[str, Behaviour] = {
    "accept": ACCEPT,
    "greylist": Behaviour(greylist_seconds=10.0),
    "reject": Behaviour(action="reply", reply="550 5.1.1 User unknown"),
    "block": Behaviour(
        action="reply",
        reply="554 5.7.1 Service unavailable; client host blocked using bl.demo.test",
    ),
    "full": Behaviour(action="reply", reply="452 4.2.2 Mailbox full", times=2),
    "drop_in_data": Behaviour(action="drop", stage="data", times=1),
    "limit_messages": Behaviour(messages_per_connection=5),
    "limit_connections": Behaviour(max_connections=2),
    "slow": Behaviour(delay=2.0),
    "busy_greeting": Behaviour(
        action="reply", stage="connect", reply="421 4.3.2 Too busy, try again later", times=3
    ),
    "starttls": Behaviour(tls="works"),
    "starttls_required": Behaviour(tls="required"),
    "starttls_broken": Behaviour(tls="broken"),
    "no_smtputf8": Behaviour(offers=("PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES")),
    "seven_bit": Behaviour(offers=("PIPELINING", "ENHANCEDSTATUSCODES")),
    "no_pipelining": Behaviour(offers=("8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES")),
    "no_extensions": Behaviour(offers=(), size=0),
    "hold_after_dot": Behaviour(action="hold", stage="dot"),
    "accept_then_drop": Behaviour(action="drop", stage="dot", times=1),
    "silent": Behaviour(action="hold", stage="connect"),
    "down": Behaviour(listening=False),
}


def make(name: str, options: Mapping[str, Any] | None = None) -> Behaviour:
    """The preset `name` with `options` replacing its fields. ValueError names what is unknown."""
    if name not in PRESETS:
        raise ValueError(f"no behaviour {name!r}; there are {', '.join(PRESETS)}")
    chosen = dict(options or {})
    known = {field.name for field in fields(Behaviour)}
    if unknown := chosen.keys() - known:
        raise ValueError(f"no option {', '.join(sorted(unknown))}; there are {sorted(known)}")
    for listed in ("offers", "clients"):
        if listed in chosen:
            chosen[listed] = tuple(chosen[listed])
    made = replace(PRESETS[name], **chosen)
    for value, allowed in ((made.stage, STAGES), (made.action, ACTIONS), (made.tls, TLS_MODES)):
        if value not in allowed:
            raise ValueError(f"{value!r} is none of {allowed}")
    if made.action == "reply" and not made.reply[:3].isdigit():
        raise ValueError("action 'reply' needs a reply that begins with a code")
    return made
