"""Signatures eight at a time where the processor can: the same bytes as OpenSSL's, else OpenSSL's.

Rule 1: every signature made eight at a time is verified before it leaves: one wrong RSA-CRT
        signature tells the key (Boneh, DeMillo, Lipton 1997). OpenSSL makes a wrong one again.
Rule 2: the first eight of each kind in a process are compared with OpenSSL's; a kind that differs
        is OpenSSL's from then on.
Rule 3: buffers belong to one call and numbers to their key: threads and forks share nothing that
        changes. Numbers of a key never show in a repr, a log or an error.
"""

import ctypes
import logging
import threading
from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256

from mta.mail import crypto_mb
from mta.mail.crypto_mb import LANES, RSA_BITS, Eight, Library, Places, Unavailable, eight

AUTO = "auto"
OPENSSL = "openssl"
ED25519 = "ed25519"
#: From how many signatures on eight cost less than that many of OpenSSL: ADR 0024 has the figures.
WORTH = {"rsa-1024": 2, "rsa-2048": 3, "rsa-3072": 7, "rsa-4096": 5, ED25519: 4}
_DIGEST = 32  # octets of SHA-256
_EXPONENT = 65537

_PADDING = PKCS1v15()
_PREHASHED = Prehashed(SHA256())
#: RFC 8017 9.2, note 1: the DigestInfo of SHA-256 before its digest.
_DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")
#: EMSA-PKCS1-v1_5 (RFC 8017 9.2) up to the digest.
_ENCODED = {
    bits: b"\0\1".ljust(bits // 8 - len(_DIGEST_INFO) - _DIGEST - 1, b"\xff") + b"\0" + _DIGEST_INFO
    for bits in RSA_BITS
}

log = logging.getLogger(__name__)


class Key:
    """One private key, for OpenSSL and for the eight lanes."""

    __slots__ = ("_numbers", "kind", "private_key")

    def __init__(self, private_key: RSAPrivateKey | Ed25519PrivateKey) -> None:
        self.private_key = private_key
        #: "rsa-2048", "ed25519": what may share a call; "" for what only OpenSSL has a method for.
        self.kind = _kind(private_key)
        self._numbers: _Numbers | None = None

    def sign(self, digest: bytes) -> bytes:
        """OpenSSL's signature of a SHA-256 digest."""
        if isinstance(self.private_key, RSAPrivateKey):
            return self.private_key.sign(digest, _PADDING, _PREHASHED)
        return self.private_key.sign(digest)  # RFC 8463 3: over the hash, not the data

    def numbers(self) -> "_Numbers":
        """The key as the library wants it, laid out at the first need."""
        if self._numbers is None:
            self._numbers = _Numbers(_pieces(self.private_key))
        return self._numbers


class _Numbers:
    """What one key is made of as the library wants it; wiped when the key goes."""

    __slots__ = ("_memory", "addresses", "eightfold", "last_size")

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._memory = ctypes.create_string_buffer(b"".join(pieces), sum(map(len, pieces)))
        self.last_size = len(pieces[-1])
        first = ctypes.addressof(self._memory)
        #: Of p, q, dp, dq, 1/q and n, or of seed and public key.
        self.addresses = [first + sum(map(len, pieces[:index])) for index in range(len(pieces))]
        #: The same as arrays, for eight signatures by this one key.
        self.eightfold = [Eight(*[address] * LANES) for address in self.addresses]

    def __del__(self) -> None:
        ctypes.memset(self._memory, 0, len(self._memory))


class _Process:
    """What this process has chosen and found out."""

    def __init__(self) -> None:
        self.chosen = AUTO
        self.library: Library | None = None
        #: Why there is no library; None until it was tried.
        self.reason: str | None = None
        #: Kinds whose first eight were the same as OpenSSL's, or not.
        self.proven: dict[str, bool] = {}
        self.faults = 0
        self.lock = threading.Lock()


_process = _Process()


def use(engine: str) -> None:
    """Choose `auto` or `openssl` for this process; ValueError for another word."""
    if engine not in (AUTO, OPENSSL):
        raise ValueError(f"signatures are made by {AUTO} or {OPENSSL}, not by {engine!r}")
    _process.chosen = engine


def engine() -> str:
    """How this process signs, for people."""
    return "OpenSSL" if _library() is None else "8 at a time (AVX-512 IFMA)"


def reason() -> str:
    """Why it is OpenSSL, in a sentence; "" when it is not."""
    if _library() is not None:
        return ""
    return "it was chosen" if _process.chosen == OPENSSL else _process.reason or ""


def faults() -> int:
    """Signatures of this process that did not verify; OpenSSL made them again."""
    return _process.faults


def sign_digests(jobs: Sequence[tuple[Key, bytes]]) -> list[bytes]:
    """The signature of each SHA-256 digest by its key, in order: RSASSA-PKCS1-v1_5 or Ed25519."""
    library = _library()
    if library is None:
        return [key.sign(digest) for key, digest in jobs]
    kinds: dict[str, list[int]] = {}
    for index, (key, _) in enumerate(jobs):
        kinds.setdefault(key.kind, []).append(index)
    out = [b""] * len(jobs)
    for kind, indexes in kinds.items():
        for start in range(0, len(indexes), LANES):
            chosen = indexes[start : start + LANES]
            group = [jobs[index] for index in chosen]
            for index, signature in zip(chosen, _signed(library, kind, group), strict=True):
                out[index] = signature
    return out


def _library() -> Library | None:
    if _process.chosen == OPENSSL:
        return None
    if _process.library is None and _process.reason is None:
        with _process.lock:
            if _process.library is None and _process.reason is None:
                try:
                    _process.library = crypto_mb.load()
                except Unavailable as error:
                    _process.reason = str(error)
    return _process.library


def _signed(library: Library, kind: str, group: Sequence[tuple[Key, bytes]]) -> list[bytes]:
    """At most eight of one kind."""
    if len(group) < WORTH.get(kind, LANES + 1) or not _process.proven.get(kind, True):
        return [key.sign(digest) for key, digest in group]
    keys = [key.numbers() for key, _ in group]
    digests = [digest for _, digest in group]
    # Lanes without work of their own do that of the first.
    keys += keys[:1] * (LANES - len(keys))
    digests += digests[:1] * (LANES - len(digests))
    make = _eight_ed25519 if kind == ED25519 else _eight_rsa
    made = make(library, keys, digests)
    if kind not in _process.proven:
        mine = [key.sign(digest) for key, digest in group]
        _process.proven[kind] = mine == made[: len(group)]
        if not _process.proven[kind]:
            log.error("signatures eight at a time are wrong: %s is OpenSSL's from now on", kind)
        return mine
    return [
        signature or _again(kind, key, digest)
        for signature, (key, digest) in zip(made, group, strict=False)
    ]


def _again(kind: str, key: Key, digest: bytes) -> bytes:
    _process.faults += 1
    log.error("a signature (%s) did not verify and was made again by OpenSSL", kind)
    return key.sign(digest)


def _eight_rsa(library: Library, keys: list[_Numbers], digests: list[bytes]) -> list[bytes]:
    """RSASP1 by the Chinese remainder theorem, undone again by RSAVP1; b"" where that differs."""
    size = keys[0].last_size  # of the modulus
    bits = size * 8
    start = _ENCODED[bits]
    encoded = b"".join([start + digest for digest in digests])
    asked = ctypes.create_string_buffer(encoded, LANES * size)
    signed = ctypes.create_string_buffer(LANES * size)
    opened = ctypes.create_string_buffer(LANES * size)
    *factors, modulus = _columns(keys)
    places = eight(signed, size)
    library.rsa_private(eight(asked, size), places, factors, bits)
    library.rsa_public(places, eight(opened, size), modulus, bits)
    made = _cut(signed.raw, size)
    if opened.raw != encoded:
        pairs = zip(made, _cut(opened.raw, size), _cut(encoded, size), strict=True)
        made = [one if back == sent else b"" for one, back, sent in pairs]
    return made


def _eight_ed25519(library: Library, keys: list[_Numbers], digests: list[bytes]) -> list[bytes]:
    """RFC 8032 5.1.6, verified by 5.1.7; b"" where that fails."""
    asked = ctypes.create_string_buffer(b"".join(digests), LANES * _DIGEST)
    first = ctypes.create_string_buffer(LANES * 32)
    second = ctypes.create_string_buffer(LANES * 32)
    seeds, public = _columns(keys)
    job = eight(first, 32), eight(second, 32), eight(asked, _DIGEST)
    status = library.ed25519_sign(*job, seeds, public)
    status |= library.ed25519_verify(*job, public)
    pairs = zip(_cut(first.raw, 32), _cut(second.raw, 32), strict=True)
    # Four bits of status to a lane.
    return [b"" if status >> 4 * lane & 15 else r + s for lane, (r, s) in enumerate(pairs)]


def _columns(keys: list[_Numbers]) -> list[Places]:
    """One array of eight addresses per number of a key."""
    if all(key is keys[0] for key in keys):
        return keys[0].eightfold
    return [Eight(*column) for column in zip(*[key.addresses for key in keys], strict=True)]


def _cut(octets: bytes, size: int) -> list[bytes]:
    return [octets[start : start + size] for start in range(0, len(octets), size)]


def _kind(private_key: RSAPrivateKey | Ed25519PrivateKey) -> str:
    if isinstance(private_key, Ed25519PrivateKey):
        return ED25519
    numbers = private_key.private_numbers()
    half = private_key.key_size // 2
    regular = (
        private_key.key_size in RSA_BITS
        and numbers.public_numbers.e == _EXPONENT
        and numbers.p.bit_length() == numbers.q.bit_length() == half
    )
    return f"rsa-{private_key.key_size}" if regular else ""


def _pieces(private_key: RSAPrivateKey | Ed25519PrivateKey) -> list[bytes]:
    if isinstance(private_key, Ed25519PrivateKey):
        return [private_key.private_bytes_raw(), private_key.public_key().public_bytes_raw()]
    numbers = private_key.private_numbers()
    factors = (numbers.p, numbers.q, numbers.dmp1, numbers.dmq1, numbers.iqmp)
    size = private_key.key_size // 8
    pieces = [number.to_bytes(size // 2, "little") for number in factors]
    return [*pieces, numbers.public_numbers.n.to_bytes(size, "little")]
