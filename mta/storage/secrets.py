"""Encryption at rest: AES-256-GCM under a key derived from the instance's secret key."""

from __future__ import annotations

import os
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

NONCE_BYTES = 12


class WrongKey(Exception):
    """The data was encrypted under another MAILMILL_SECRET_KEY."""

    def __init__(self) -> None:
        super().__init__(
            "Stored data was encrypted under another key: "
            "start with the MAILMILL_SECRET_KEY that was in use when it was written."
        )


@lru_cache(maxsize=4)
def cipher(secret_key: str) -> AESGCM:
    derived = HKDF(hashes.SHA256(), 32, salt=None, info=b"mailmill at rest 1")
    return AESGCM(derived.derive(secret_key.encode()))


def encrypt(plain: bytes) -> bytes:
    """Nonce and ciphertext of `plain`."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + cipher(settings.SECRET_KEY).encrypt(nonce, plain, None)


def decrypt(stored: bytes) -> bytes:
    """What `encrypt` was given; raises WrongKey when the key or the data is another."""
    try:
        return cipher(settings.SECRET_KEY).decrypt(stored[:NONCE_BYTES], stored[NONCE_BYTES:], None)
    except InvalidTag:
        raise WrongKey from None
