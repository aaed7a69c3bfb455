"""Every reply the SMTP session gives by itself, each with the section that asks for it."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from mta.mail.reply import Reply

OK: Final = Reply(250, "2.0.0", "OK")
SENDER_OK: Final = Reply(250, "2.1.0", "Sender OK")
RECIPIENT_OK: Final = Reply(250, "2.1.5", "Recipient OK")
START_DATA: Final = Reply(354, "", "End data with <CR><LF>.<CR><LF>")
START_TLS: Final = Reply(220, "2.0.0", "Ready to start TLS")
AUTHENTICATED: Final = Reply(235, "2.7.0", "Authentication successful")
BYE: Final = Reply(221, "2.0.0", "Bye")
# RFC 5321 3.5.3: 252 neither confirms nor denies, so addresses cannot be harvested
CANNOT_VERIFY: Final = Reply(252, "2.5.0", "Cannot verify the user; send some mail to find out")
HELP: Final = Reply(
    214,
    "2.0.0",
    "Commands: EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY HELP STARTTLS AUTH QUIT",
)

# The command line. RFC 5321 4.2.4, 4.3.2; RFC 3463 X.5.x
UNKNOWN: Final = Reply(500, "5.5.1", "Command not recognised")
NOT_IMPLEMENTED: Final = Reply(502, "5.5.1", "Command not implemented")
LINE_TOO_LONG: Final = Reply(500, "5.5.2", "Line too long")
BARE_LINE_END: Final = Reply(500, "5.5.2", "Command lines must end with CR LF")
CONTROL_CHARACTER: Final = Reply(500, "5.5.2", "Command contains a control character")
NOT_UTF8: Final = Reply(500, "5.5.2", "Command is neither ASCII nor UTF-8")
NO_ARGUMENT: Final = Reply(501, "5.5.4", "This command takes no argument")
NAME_NEEDED: Final = Reply(501, "5.5.4", "Name of the client needed: EHLO host.example")
MAIL_SYNTAX: Final = Reply(501, "5.5.4", "Syntax: MAIL FROM:<address> [parameters]")
RCPT_SYNTAX: Final = Reply(501, "5.5.4", "Syntax: RCPT TO:<address> [parameters]")
VRFY_SYNTAX: Final = Reply(501, "5.5.4", "Syntax: VRFY address")
BDAT_SYNTAX: Final = Reply(501, "5.5.4", "Syntax: BDAT size [LAST]")
AUTH_SYNTAX: Final = Reply(501, "5.5.4", "Syntax: AUTH mechanism [initial-response]")

# The order of commands. RFC 5321 4.1.4
HELLO_FIRST: Final = Reply(503, "5.5.1", "Say EHLO first")
NESTED_MAIL: Final = Reply(503, "5.5.1", "A mail transaction is open already")
MAIL_FIRST: Final = Reply(503, "5.5.1", "MAIL FROM comes first")
NO_RECIPIENTS: Final = Reply(503, "5.5.1", "No valid recipients")
# RFC 3030 section 2: the two ways to send content do not mix, and only LAST ends the chunks
CHUNKS_OPEN: Final = Reply(503, "5.5.1", "BDAT was begun; end it with LAST or use RSET")
CHUNKS_FAILED: Final = Reply(503, "5.5.1", "An earlier chunk was refused; use RSET")

# TLS. RFC 3207
TLS_ACTIVE: Final = Reply(503, "5.5.1", "TLS is active already")
TLS_UNAVAILABLE: Final = Reply(502, "5.5.1", "STARTTLS is not available here")
# RFC 3207 section 6: commands sent ahead of the handshake come from a man in the middle
TLS_INJECTION: Final = Reply(554, "5.5.1", "Commands after STARTTLS; closing connection")

# AUTH. RFC 4954
AUTH_REPEATED: Final = Reply(503, "5.5.1", "Already authenticated")
AUTH_IN_TRANSACTION: Final = Reply(503, "5.5.1", "AUTH is not allowed in a mail transaction")
AUTH_UNAVAILABLE: Final = Reply(502, "5.5.1", "AUTH is not available here")
AUTH_NEEDS_TLS: Final = Reply(538, "5.7.11", "Encryption required: use STARTTLS before AUTH")
AUTH_MECHANISM: Final = Reply(504, "5.5.4", "Mechanism not supported; use PLAIN or LOGIN")
AUTH_CANCELLED: Final = Reply(501, "5.7.0", "Authentication cancelled")
AUTH_BASE64: Final = Reply(501, "5.5.2", "Response is not base64 of a user name and password")
AUTH_REFUSED: Final = Reply(535, "5.7.8", "User name or password is wrong")
AUTH_TOO_OFTEN: Final = Reply(421, "4.7.0", "Too many failed authentications; closing connection")
TLS_NEEDED: Final = Reply(530, "5.7.0", "Use STARTTLS and AUTH before sending mail")
AUTH_NEEDED: Final = Reply(530, "5.7.0", "Authentication required: relaying denied without AUTH")

# Addresses and parameters. RFC 3461, RFC 6531 3.5, RFC 5321 4.1.1.11
UTF8_SENDER: Final = Reply(550, "5.6.7", "Address is not ASCII: MAIL needs SMTPUTF8")
UTF8_RECIPIENT: Final = Reply(553, "5.6.7", "Address is not ASCII: MAIL needs SMTPUTF8")
TOO_MANY_RECIPIENTS: Final = Reply(452, "4.5.3", "Too many recipients")
TOO_LARGE: Final = Reply(552, "5.3.4", "Message is larger than SIZE allows")

# Content
BARE_CONTENT: Final = Reply(
    550, "5.6.11", "Message contains a bare CR, a bare LF or a NUL; every line must end with CR LF"
)
OUT_OF_ROOM: Final = Reply(452, "4.3.1", "Too much mail is arriving at once; try again later")

# The session as a whole. RFC 5321 3.8
TOO_MANY_ERRORS: Final = Reply(421, "4.7.0", "Too many errors; closing connection")
TOO_MUCH_JUNK: Final = Reply(421, "4.7.0", "Too many commands without mail; closing connection")
NOT_A_BROWSER: Final = Reply(421, "4.7.0", "This is not a web server; closing connection")
TIMED_OUT: Final = Reply(421, "4.4.2", "Time-out; closing connection")
SHUTTING_DOWN: Final = Reply(421, "4.3.2", "Shutting down; try again later")
TOO_MANY_CONNECTIONS: Final = Reply(421, "4.7.0", "Too many connections; try again later")


def parameter_error(text: str) -> Reply:
    """501 for a parameter that is known but malformed; the text names it."""
    return Reply(501, "5.5.4", text)


def parameter_unknown(name: str) -> Reply:
    """555 for a parameter that was not offered. RFC 5321 4.1.1.11"""
    return Reply(555, "5.5.4", f"Parameter {name[:40]} not recognised")


@lru_cache(maxsize=256)
def encode(reply: Reply) -> bytes:
    """One reply as the line that goes on the wire."""
    enhanced = f"{reply.enhanced} " if reply.enhanced else ""
    return f"{reply.code} {enhanced}{reply.text}\r\n".encode("ascii", "replace")
