"""DKIM signatures (RFC 6376, RFC 8463), relaxed/relaxed, RSA and Ed25519.

Rule 1: all that several keys or recipients share (header, body hash) is computed once.
Rule 2: one message or many, the same bytes: only the price per message differs.
dkimpy is the judge of this module: tests verify each signature with it. Its own signing takes
5.9 ms for RSA-2048, OpenSSL 0.23 ms, eight at a time 0.08 ms each.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import TypeAlias

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from mta.mail.address import AddressError, normalise_domain
from mta.mail.eightfold import Key, engine, sign_digests, use
from mta.mail.headers import split
from mta.mail.relaxed import body_hash, signed_fields

__all__ = [
    "ED25519",
    "RSA",
    "KeyUnusable",
    "SigningKey",
    "body_hash",
    "dns_record",
    "engine",
    "generate",
    "load_key",
    "sign",
    "sign_many",
    "use",
]

RSA = "rsa-sha256"
ED25519 = "ed25519-sha256"
MIN_RSA_BITS = 1024  # RFC 8301 3.2: signers MUST NOT use less

_SELECTOR = re.compile(r"(?=.{1,63}\Z)[A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?(\.[A-Za-z0-9_-]+)*")
#: A field without its signature, and the job that makes the signature.
_Unsigned: TypeAlias = "tuple[bytes, tuple[Key, bytes]]"


class KeyUnusable(ValueError):
    """A signing key, or what names it, that cannot be used; says why without showing the key."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One private key and the name under which the world finds its public half."""

    domain: str
    selector: str
    #: "rsa-sha256" or "ed25519-sha256".
    algorithm: str
    key: Key = field(repr=False, compare=False)


def load_key(domain: str, selector: str, algorithm: str, pem: bytes) -> SigningKey:
    """A key from unencrypted PEM (PKCS8, or PKCS1 for RSA); KeyUnusable."""
    try:
        domain = normalise_domain(domain)
    except AddressError as error:
        raise KeyUnusable(f"DKIM domain: {error}") from None
    if not _SELECTOR.fullmatch(selector):
        raise KeyUnusable("DKIM selector must be 1 to 63 letters, digits, dots or hyphens")
    private_key = _private_key(pem)
    if algorithm != _algorithm(private_key):
        raise KeyUnusable(f"the DKIM key is {_algorithm(private_key)}, not {algorithm!r}")
    return SigningKey(domain, selector, algorithm, Key(private_key))


def generate(algorithm: str, *, rsa_bits: int = 2048) -> bytes:
    """A new private key as PKCS8 PEM; KeyUnusable for an unknown algorithm."""
    private_key: RSAPrivateKey | Ed25519PrivateKey
    if algorithm == RSA:
        private_key = generate_private_key(public_exponent=65537, key_size=rsa_bits)
    elif algorithm == ED25519:
        private_key = Ed25519PrivateKey.generate()
    else:
        raise KeyUnusable(f"DKIM algorithm must be {RSA} or {ED25519}, not {algorithm!r}")
    return private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def dns_record(pem: bytes) -> str:
    """The TXT record of `selector._domainkey.domain` as one string, to be cut at 255 octets."""
    private_key = _private_key(pem)
    public_key = private_key.public_key()
    if isinstance(private_key, Ed25519PrivateKey):
        raw = public_key.public_bytes(Encoding.Raw, PublicFormat.Raw)
        return f"v=DKIM1; k=ed25519; p={base64.b64encode(raw).decode()}"
    der = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"v=DKIM1; k=rsa; p={base64.b64encode(der).decode()}"


def sign(
    wire: bytes, keys: Sequence[SigningKey], *, now: int, body_hash: bytes | None = None
) -> bytes:
    """DKIM-Signature fields, one per key, CRLF-folded, to stand before `wire`.

    `wire` is the message in wire form, `now` seconds since the epoch, `body_hash` what the function
    of that name gave for this body. Raises ValueError when the message has no From field.
    """
    unsigned = _unsigned(wire, keys, now, body_hash)
    signatures = sign_digests([job for _, job in unsigned])
    return b"".join(map(_field, unsigned, signatures))


def sign_many(
    messages: Sequence[tuple[bytes, Sequence[SigningKey]]], *, now: int
) -> list[bytes | None]:
    """What `sign` gives for each message by its keys; None where it would raise ValueError.

    The more messages, the cheaper each: eight signatures at a time (eightfold.py).
    """
    ready: list[list[_Unsigned] | None] = []
    for wire, keys in messages:
        try:
            ready.append(_unsigned(wire, keys, now, None))
        except ValueError:
            ready.append(None)
    jobs = [job for unsigned in ready if unsigned for _, job in unsigned]
    signatures = iter(sign_digests(jobs))
    # `signatures` comes second: map asks it for no more than it can use.
    return [
        None if unsigned is None else b"".join(map(_field, unsigned, signatures))
        for unsigned in ready
    ]


def _unsigned(
    wire: bytes, keys: Sequence[SigningKey], now: int, hashed: bytes | None
) -> list[_Unsigned]:
    """For each key: its field up to the signature, and what is to be signed."""
    head, body = split(wire)
    if hashed is None:
        hashed = body_hash(body)
    listed, signed = signed_fields(head)
    out = []
    for key in keys:
        field = b"%bt=%d; bh=%b;\r\n\th=%b;\r\n\tb=" % (_opening(key), now, hashed, listed)
        # Our own field is folded by CRLF and one tab only: this is its relaxed form.
        canonical = b"dkim-signature:" + field[16:].replace(b"\r\n\t", b" ")
        out.append((field, (key.key, sha256(signed + canonical).digest())))
    return out


def _field(unsigned: _Unsigned, signature: bytes) -> bytes:
    return unsigned[0] + _folded(signature)


def _folded(signature: bytes) -> bytes:
    text = binascii.b2a_base64(signature, newline=False)
    return b"\r\n\t".join([text[i : i + 72] for i in range(0, len(text), 72)]) + b"\r\n"


@lru_cache(maxsize=4096)
def _tags(algorithm: str, domain: str, selector: str) -> bytes:
    return (
        f"DKIM-Signature: v=1; a={algorithm}; c=relaxed/relaxed;\r\n"
        f"\td={domain}; s={selector};\r\n\t"
    ).encode("ascii")


def _opening(key: SigningKey) -> bytes:
    return _tags(key.algorithm, key.domain, key.selector)


def _private_key(pem: bytes) -> RSAPrivateKey | Ed25519PrivateKey:
    try:
        private_key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):  # the cause may quote the key: it is not passed on
        raise KeyUnusable("the DKIM key is not an unencrypted PEM private key") from None
    if isinstance(private_key, Ed25519PrivateKey):
        return private_key
    if not isinstance(private_key, RSAPrivateKey):
        raise KeyUnusable("the DKIM key must be RSA or Ed25519")
    if private_key.key_size < MIN_RSA_BITS:
        raise KeyUnusable(f"the DKIM key has fewer than {MIN_RSA_BITS} bits")
    return private_key


def _algorithm(private_key: RSAPrivateKey | Ed25519PrivateKey) -> str:
    return RSA if isinstance(private_key, RSAPrivateKey) else ED25519
