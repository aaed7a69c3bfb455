"""Mail addresses: strict reading (RFC 5321 4.1.2, RFC 6531), one normal form of the domain.

Rule 1: what does not parse is refused with a reason; nothing is guessed or repaired.
Rule 2: no control character, CR, LF or NUL ever gets into an Address.
Rule 3: the local part is opaque: case and Unicode form are the receiver's business.
"""

import ipaddress
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

import idna

MAX_LOCAL = 64
MAX_DOMAIN = 255
MAX_ADDRESS = 254  # a path is 256 octets with its angle brackets, RFC 5321 4.5.3.1.3

_ATEXT = r"A-Za-z0-9!#$%&'*+/=?^_`{|}~\-"
_UNICODE = r"\u00a0-\U0010ffff"
_UNSPACED = (
    r"\u00a1-\u167f\u1681-\u1fff\u200b-\u2027\u202a-\u202e"
    r"\u2030-\u205e\u2060-\u2fff\u3001-\U0010ffff"
)
_DOT_STRING = re.compile(rf"[{_ATEXT}{_UNSPACED}]+(?:\.[{_ATEXT}{_UNSPACED}]+)*")
_QUOTED = re.compile(rf'"(?:[ !#-\[\]-~{_UNICODE}]|\\[ -~])*"')
_HOST = re.compile(
    r"(?=.{1,255}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*"
    r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
)
_PLAIN = re.compile(rf"([{_ATEXT}]+(?:\.[{_ATEXT}]+)*)@([A-Za-z0-9.-]+)")
#: Categories that have no place in an address: controls, surrogates, separators of lines.
_BARRED = frozenset({"Cc", "Cs", "Cn", "Zl", "Zp"})
_QUOTED_NAME = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ANGLES = frozenset('<>"')
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class AddressError(ValueError):
    """Text that is no address; `reason` is one sentence for a person."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Address:
    """One mailbox."""

    #: Unquoted: `a b`, where the wire says `"a b"`.
    local: str
    #: Lower-case A-labels (`xn--...`), or a literal `[127.0.0.1]`, `[IPv6:::1]`.
    domain: str

    @property
    def needs_smtputf8(self) -> bool:
        """Whether only a peer with SMTPUTF8 (RFC 6531) can take this address."""
        return not self.local.isascii()

    def __str__(self) -> str:
        if _DOT_STRING.fullmatch(self.local):
            return f"{self.local}@{self.domain}"
        return f"{_quote(self.local)}@{self.domain}"


def parse_address(text: str) -> Address:
    """Read an addr-spec such as `a@example.org`, `"a b"@[127.0.0.1]` or `用户@例え.jp`.

    Limits are octets of UTF-8: local part 64, domain 255, together 254 (RFC 5321 4.5.3.1).
    Raises AddressError.
    """
    plain = _PLAIN.fullmatch(text)
    if plain and len(text) <= MAX_ADDRESS and len(plain[1]) <= MAX_LOCAL:
        return Address(plain[1], _address_domain(plain[2]))
    if len(text) > MAX_ADDRESS * 2 or _has_barred(text):
        raise AddressError("too long, or holds control characters")
    local, at, domain = text.rpartition("@")
    if not at:
        raise AddressError("has no @")
    if domain.endswith("]") and "[" not in domain:  # an @ inside a literal
        raise AddressError("malformed address literal")
    address = Address(_parse_local(local), _address_domain(domain))
    if len(local.encode()) > MAX_LOCAL:
        raise AddressError(f"part before the @ is longer than {MAX_LOCAL} octets")
    if len(local.encode()) + 1 + len(address.domain) > MAX_ADDRESS:
        raise AddressError(f"is longer than {MAX_ADDRESS} octets")
    return address


def parse_mailbox(text: str) -> tuple[str, Address]:
    """Read `Name <a@b>`, `"Name" <a@b>`, `<a@b>` or `a@b` into (display name, address).

    The name is plain text: quotes are removed, RFC 2047 words are not decoded. Raises AddressError.
    """
    if text.endswith(">") or '"' in text or "<" in text:
        name, spec = _split_mailbox(text.strip(" \t"))
        if _CONTROLS.search(name):
            raise AddressError("display name holds control characters")
        return name, parse_address(spec)
    return "", parse_address(text.strip(" \t"))


def parse_mailbox_list(text: str) -> list[Address]:
    """Read the unfolded value of an address field (RFC 5322 3.4), comments removed.

    Groups and obsolete forms are refused: an address that could be read two ways must not decide
    who may send. Raises AddressError.
    """
    return [parse_address(_split_mailbox(part)[1]) for part in split_mailboxes(text)]


def normalise_domain(text: str) -> str:
    """IDNA 2008 (UTS 46 mapping) A-labels in lower case, one trailing dot removed; AddressError."""
    return _normal_domain(text.removesuffix("."))


@lru_cache(maxsize=8192)
def _address_domain(text: str) -> str:
    return _parse_literal(text) if text.startswith("[") else _normal_domain(text)


def _normal_domain(text: str) -> str:
    domain = text.lower() if text.isascii() else text
    if not domain or len(domain) > MAX_DOMAIN:
        raise AddressError(f"domain must have 1 to {MAX_DOMAIN} octets")
    if not domain.isascii() or "xn--" in domain:
        try:
            domain = idna.encode(domain, uts46=True).decode("ascii")
        except (idna.IDNAError, UnicodeError) as error:
            raise AddressError(f"domain is not valid IDNA 2008: {error}") from None
    if not _HOST.fullmatch(domain):
        raise AddressError("domain has an empty label, a bad character or a label over 63 octets")
    if domain.rpartition(".")[2].isdigit():
        raise AddressError("domain ends in a number; an IP address stands in brackets")
    return domain


def _parse_literal(text: str) -> str:
    """RFC 5321 4.1.3; `General-address-literal` has no registered tag, so there is none here."""
    inner = text[1:-1]
    try:
        if not text.endswith("]") or "%" in inner:
            raise ValueError
        if inner[:5].lower() == "ipv6:":
            return f"[IPv6:{ipaddress.IPv6Address(inner[5:])}]"
        return f"[{ipaddress.IPv4Address(inner)}]"
    except ValueError:
        raise AddressError("malformed address literal") from None


def _parse_local(text: str) -> str:
    if _DOT_STRING.fullmatch(text):
        return text
    if len(text) > 2 and _QUOTED.fullmatch(text):
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    raise AddressError("part before the @ is empty or has a character that needs quotes")


def _quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _has_barred(text: str) -> bool:
    if text.isascii() and text.isprintable():
        return False
    return any(unicodedata.category(character) in _BARRED for character in text)


def _split_mailbox(text: str) -> tuple[str, str]:
    """(display name, addr-spec), neither checked."""
    if not text.endswith(">"):
        return "", text
    name, bracket, spec = text[:-1].rpartition("<")
    name = name.strip(" \t")
    quoted = _QUOTED_NAME.fullmatch(name)
    if quoted:
        name = re.sub(r"\\(.)", r"\1", quoted[1])
    elif not bracket or not _ANGLES.isdisjoint(name):
        raise AddressError('display name with < > or " must stand in quotes')
    return name, spec


def split_mailboxes(text: str) -> list[str]:
    """Split an address list at its commas, comments removed; AddressError when unbalanced."""
    parts, part, depth, quoted = [], "", 0, False
    for piece in re.findall(r'\\.|[(),";]|[^\\(),";]+|\\', text, re.DOTALL):
        if piece == '"' and not depth:
            quoted = not quoted
        elif not quoted and piece in "()":
            depth += 1 if piece == "(" else -1
            if depth < 0:
                raise AddressError("unbalanced comment")
            continue
        elif not quoted and not depth and piece == ";":
            raise AddressError("groups are not accepted")
        elif not quoted and not depth and piece == ",":
            parts.append(part)
            part = ""
            continue
        if not depth:
            part += piece
    if quoted or depth:
        raise AddressError("unbalanced quote or comment")
    return [stripped for part in [*parts, part] if (stripped := part.strip(" \t"))]
