"""What stands in the command lines of a client: verbs, paths and parameters.

Rule 1: a line is text without control characters; everything else is refused unread.
Rule 2: a parameter that was not offered is refused (RFC 5321 4.1.1.11), so is a repeated one.
Rule 3: each function returns the value, or the Reply that refuses it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from mta.mail import smtp_replies as replies
from mta.mail.address import Address, AddressError, parse_address
from mta.mail.reply import Reply
from mta.mail.smtp_events import Envelope, EnvelopeRecipient

#: Longest command line with its CR LF, octets (RFC 5321 4.5.3.1.4), where extensions add none.
LINE_LIMIT: Final = 512
#: MAIL adds SIZE 26, BODY 17, AUTH 500, SMTPUTF8 10, RET and ENVID 116; RCPT adds ORCPT and
#: NOTIFY 529 (RFC 1870, 6152, 4954, 6531, 3461); AUTH lines go to 12288 (RFC 4954 section 4).
LONGER_LINES: Final = {"MAIL": 512 + 669, "RCPT": 512 + 529, "AUTH": 12_288}
LONGEST_LINE: Final = 12_288

CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
XTEXT: Final = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*\Z")
ORCPT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*;(.+)\Z")
#: RFC 6533 lets an internationalised ORCPT carry UTF-8 and \x{HEX} besides xtext.
ORCPT_UTF8: Final = re.compile(r"utf-8;(?:[^\x00-\x20\x7f]|\\x\{[0-9A-F]{1,6}\})+\Z", re.I)
SIZE: Final = re.compile(r"[0-9]{1,20}\Z")
BDAT: Final = re.compile(r"([0-9]{1,20})(?: +(LAST))?\Z", re.I)
NOTIFY_WORDS: Final = frozenset({"SUCCESS", "FAILURE", "DELAY"})
HELO_NAME: Final = re.compile(r"[!#-'*-;=?-\[\]-~]{1,255}\Z")


def split_verb(line: bytes) -> tuple[str, str] | Reply:
    """(upper-case verb, argument without blanks around it) of a line without its CR LF."""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return replies.NOT_UTF8
    if not text.isprintable() and CONTROL.search(text):
        return replies.CONTROL_CHARACTER
    verb, _, argument = text.partition(" ")
    verb = verb.upper()
    if len(line) + 2 > LONGER_LINES.get(verb, LINE_LIMIT):
        return replies.LINE_TOO_LONG
    return verb, argument.strip(" ")


def parse_mail(argument: str, *, max_bytes: int, with_auth: bool) -> Envelope | Reply:
    """`FROM:<path> parameters` as an envelope without recipients."""
    split = split_path(argument, "FROM:", replies.MAIL_SYNTAX)
    if isinstance(split, Reply):
        return split
    path, words = split
    values = read_parameters(words, MAIL_PARAMETERS_AUTH if with_auth else MAIL_PARAMETERS)
    if isinstance(values, Reply):
        return values
    envelope = Envelope(
        reverse_path=None,
        declared_size=int(values.get("SIZE", 0)),
        eight_bit=values.get("BODY", "").upper() == "8BITMIME",
        smtputf8="SMTPUTF8" in values,
        ret=values.get("RET", "").upper(),
        envid=values.get("ENVID", ""),
    )
    if envelope.declared_size > max_bytes:
        return replies.TOO_LARGE
    if path == "":
        return envelope
    address = parse_path(path, Reply(553, "5.1.7", "Bad sender address"))
    if isinstance(address, Reply):
        return address
    if not path.isascii() and not envelope.smtputf8:
        return replies.UTF8_SENDER
    envelope.reverse_path = address
    return envelope


def parse_rcpt(argument: str, *, smtputf8: bool, postmaster: str) -> EnvelopeRecipient | Reply:
    """`TO:<path> parameters`; postmaster is the domain of a bare <postmaster> (4.5.1)."""
    split = split_path(argument, "TO:", replies.RCPT_SYNTAX)
    if isinstance(split, Reply):
        return split
    path, words = split
    if path.lower() == "postmaster":
        path = f"postmaster@{postmaster}"
    address = parse_path(path, Reply(553, "5.1.3", "Bad recipient address"))
    if isinstance(address, Reply):
        return address
    if not path.isascii() and not smtputf8:
        return replies.UTF8_RECIPIENT
    if not words:
        return EnvelopeRecipient(address)
    values = read_parameters(words, RCPT_PARAMETERS)
    if isinstance(values, Reply):
        return values
    notify = values.get("NOTIFY", "").upper()
    return EnvelopeRecipient(address, notify, values.get("ORCPT", ""))


def split_path(argument: str, prefix: str, syntax: Reply) -> tuple[str, list[str]] | Reply:
    """The text between the angle brackets, and the parameters behind them."""
    if argument[: len(prefix)].upper() != prefix:
        return syntax
    # a blank behind the colon is wrong but so common that every server takes it
    rest = argument[len(prefix) :].lstrip(" ")
    if not rest.startswith("<"):
        return syntax
    end = closing_bracket(rest)
    if end < 0 or rest[end + 1 : end + 2] not in ("", " "):
        return syntax
    return rest[1:end], rest[end + 1 :].split()


def closing_bracket(text: str) -> int:
    """Position of the `>` that is not inside a quoted local part; -1 when there is none."""
    if '"' not in text:
        return text.find(">")
    quoted = escaped = False
    for position, char in enumerate(text):
        if escaped:
            escaped = False
        elif quoted and char == "\\":
            escaped = True
        elif char == '"':
            quoted = not quoted
        elif char == ">" and not quoted:
            return position
    return -1


def parse_path(path: str, refusal: Reply) -> Address | Reply:
    """An address, its source route ignored (RFC 5321 appendix C)."""
    if path.startswith("@"):
        path = path.partition(":")[2]
    try:
        return parse_address(path)
    except AddressError as error:
        return Reply(refusal.code, refusal.enhanced, f"{refusal.text}: {error}")


def parse_bdat(argument: str) -> tuple[int, bool] | Reply:
    """(octets, whether this chunk is the last). RFC 3030 section 2"""
    match = BDAT.match(argument)
    return (int(match[1]), match[2] is not None) if match else replies.BDAT_SYNTAX


def read_parameters(
    words: list[str], table: dict[str, Callable[[str], bool]]
) -> dict[str, str] | Reply:
    """KEY=VALUE words by upper-case key, each value checked by the table."""
    values: dict[str, str] = {}
    for word in words:
        key, _, value = word.partition("=")
        key = key.upper()
        if key not in table:
            return replies.parameter_unknown(key)
        if key in values:
            return replies.parameter_error(f"Parameter {key} is given twice")
        if not table[key](value):
            return replies.parameter_error(f"Bad value of parameter {key}")
        values[key] = value
    return values


def is_notify(value: str) -> bool:
    """RFC 3461 4.1: NEVER stands alone; the others once each."""
    words = value.upper().split(",")
    return words == ["NEVER"] or (set(words) <= NOTIFY_WORDS and len(set(words)) == len(words))


def is_orcpt(value: str) -> bool:
    """RFC 3461 4.2: an address type and xtext, or RFC 6533's utf-8 form; 500 octets at most."""
    match = ORCPT.match(value)
    if match is None or len(value.encode()) > 500:
        return False
    return bool(XTEXT.match(match[1]) or ORCPT_UTF8.match(value))


#: What MAIL may carry: the check of each value. BINARYMIME is not offered.
MAIL_PARAMETERS: Final[dict[str, Callable[[str], bool]]] = {
    "SIZE": lambda value: SIZE.match(value) is not None,
    "BODY": lambda value: value.upper() in ("7BIT", "8BITMIME"),
    "SMTPUTF8": lambda value: value == "",
    "RET": lambda value: value.upper() in ("FULL", "HDRS"),
    "ENVID": lambda value: 0 < len(value) <= 100 and XTEXT.match(value) is not None,
}
#: RFC 4954 section 5: AUTH= is taken where AUTH is offered; nobody here believes it.
MAIL_PARAMETERS_AUTH: Final = MAIL_PARAMETERS | {
    "AUTH": lambda value: value != "" and XTEXT.match(value) is not None
}
RCPT_PARAMETERS: Final[dict[str, Callable[[str], bool]]] = {
    "NOTIFY": is_notify,
    "ORCPT": is_orcpt,
}
