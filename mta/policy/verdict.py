"""What one reply means: the value that classify makes and settle obeys.

Rule 1: a verdict is bounced exactly when it is permanent; delivered has no class.
Rule 2: the scope says how far it reaches: `recipient` (only this address), `message` (this content
        for anyone), `session` (this connection: the next MX or a later one may do better),
        `site` (everything to this site from this source waits).
Rule 3: only a permanently bad address is suppressed; a block says nothing about the address.
"""

from dataclasses import dataclass

DELIVERED = "delivered"
DEFERRED = "deferred"
BOUNCED = "bounced"
OUTCOMES = frozenset({DELIVERED, DEFERRED, BOUNCED})

#: Every bounce class, with its meaning as operators and webhooks see it.
BOUNCE_CLASSES: dict[str, str] = {
    "bad_mailbox": "the mailbox does not exist",
    "bad_domain": "the domain does not exist or takes no mail",
    "inactive": "the mailbox exists but is disabled or abandoned",
    "quota": "the mailbox is full",
    "size": "the message is too large",
    "spam_content": "the content was taken for spam or phishing",
    "reputation": "the IP address or a domain is on a block list or has a bad name",
    "auth": "SPF, DKIM, DMARC or the PTR record failed",
    "policy": "refused by a rule of the receiver with no better class",
    "rate_limited": "too many messages, recipients or connections",
    "greylisted": "the receiver wants a second try later",
    "connection": "no answer, a broken connection, or a server that is down",
    "dns": "the look-up failed",
    "tls": "TLS could not be set up or is required",
    "protocol": "the two sides disagree about SMTP or the format of the message",
    "sender": "the reverse path or From is refused",
    "relay_denied": "the server does not take mail for this domain, or wants a log-in",
    "virus": "malware or a forbidden attachment",
    "loop": "the message went round in circles",
    "expired": "the time for delivery ran out",
    "other": "nothing better is known",
}

SCOPES = frozenset({"recipient", "message", "session", "site"})

#: Follow-ups: suppress the address, slow down or suspend the egress path, tell an operator.
ACTIONS = frozenset({"", "suppress", "slow", "suspend", "operator"})

#: Classes that speak about the address and may therefore suppress it.
SUPPRESSIBLE = frozenset({"bad_mailbox", "inactive"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do about one recipient after one reply; ValueError when it contradicts itself."""

    outcome: str  #: delivered, deferred or bounced
    bounce_class: str  #: a key of BOUNCE_CLASSES; "" when delivered
    permanent: bool  #: True exactly when bounced
    scope: str  #: recipient, message, session or site
    action: str  #: a member of ACTIONS
    rule: str  #: name of the rule that decided

    def __post_init__(self) -> None:
        if self.outcome not in OUTCOMES or self.scope not in SCOPES or self.action not in ACTIONS:
            raise ValueError(f"unknown outcome, scope or action in {self!r}")
        if self.permanent != (self.outcome == BOUNCED):
            raise ValueError(f"permanent and bounced must agree in {self!r}")
        if (self.bounce_class == "") != (self.outcome == DELIVERED):
            raise ValueError(f"a class belongs to every failure and to nothing else: {self!r}")
        if self.bounce_class and self.bounce_class not in BOUNCE_CLASSES:
            raise ValueError(f"unknown bounce class {self.bounce_class!r}")
        if self.action == "suppress" and not (
            self.permanent and self.bounce_class in SUPPRESSIBLE and self.scope == "recipient"
        ):
            raise ValueError(f"only a permanently bad address is suppressed: {self!r}")
