"""Which command may come when: the state of an SMTP session as tables. RFC 5321 4.1.4"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from mta.mail import smtp_replies as replies
from mta.mail.reply import Reply


class Phase(Enum):
    """Where in a session the client is."""

    START = auto()  # no EHLO yet, or TLS was just set up
    READY = auto()  # between transactions
    SENDER = auto()  # after MAIL
    RECIPIENTS = auto()  # after the first accepted RCPT
    DATA = auto()  # between DATA and the dot
    CHUNKS = auto()  # after the first BDAT, between chunks
    CHUNK = auto()  # inside the octets of a chunk
    AUTH = auto()  # between AUTH and its outcome
    ENDED = auto()


P = Phase
ANY: Final = frozenset({P.START, P.READY, P.SENDER, P.RECIPIENTS, P.CHUNKS})
#: Which command is allowed where; in DATA, CHUNK and AUTH there are no commands.
ALLOWED: Final[dict[str, frozenset[Phase]]] = {
    "EHLO": ANY,
    "HELO": ANY,
    "RSET": ANY,
    "NOOP": ANY,
    "HELP": ANY,
    "VRFY": ANY,
    "QUIT": ANY,
    "STARTTLS": ANY - {P.START},
    "AUTH": ANY - {P.START},
    "MAIL": frozenset({P.READY}),
    "RCPT": frozenset({P.SENDER, P.RECIPIENTS}),
    "DATA": frozenset({P.RECIPIENTS}),
    # the octets of a chunk come whether or not the command was allowed: EARLY_CHUNK answers
    "BDAT": ANY,
}
#: The reply to a command outside its phases; HELLO_FIRST where nothing is said here.
OUT_OF_ORDER: Final[dict[tuple[str, Phase], Reply]] = {
    ("MAIL", P.SENDER): replies.NESTED_MAIL,
    ("MAIL", P.RECIPIENTS): replies.NESTED_MAIL,
    ("MAIL", P.CHUNKS): replies.NESTED_MAIL,
    ("RCPT", P.READY): replies.MAIL_FIRST,
    ("RCPT", P.CHUNKS): replies.CHUNKS_OPEN,
    ("DATA", P.READY): replies.MAIL_FIRST,
    ("DATA", P.SENDER): replies.NO_RECIPIENTS,
    ("DATA", P.CHUNKS): replies.CHUNKS_OPEN,
}
#: Phases in which a chunk has no transaction to belong to, and what its end is answered with.
EARLY_CHUNK: Final[dict[Phase, Reply]] = {
    P.START: replies.HELLO_FIRST,
    P.READY: replies.MAIL_FIRST,
    P.SENDER: replies.NO_RECIPIENTS,
}
NOT_IMPLEMENTED: Final = frozenset({"EXPN", "TURN", "ETRN", "SEND", "SOML", "SAML"})
#: A web page that makes a browser talk to a mail server begins with these.
BROWSER: Final = frozenset({"GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "HOST:"})
#: Commands that move no mail and cost a slot; counted between two messages.
JUNK: Final = frozenset({"EHLO", "HELO", "RSET", "NOOP", "HELP", "VRFY"})
