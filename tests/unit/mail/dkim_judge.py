"""dkimpy as the judge of our signatures, with the DNS answered from the keys themselves."""

from functools import lru_cache

import dkim as dkimpy

from mta.mail import dkim
from mta.mail.dkim import SigningKey


@lru_cache
def cast() -> tuple[SigningKey, SigningKey, dict[bytes, bytes]]:
    """(RSA key, Ed25519 key, TXT records by name)."""
    keys, zone = [], {}
    for selector, algorithm in (("r1", dkim.RSA), ("e1.sub", dkim.ED25519)):
        pem = dkim.generate(algorithm)
        keys.append(dkim.load_key("Example.org", selector, algorithm, pem))
        zone[f"{selector}._domainkey.example.org.".encode()] = dkim.dns_record(pem).encode()
    return keys[0], keys[1], zone


def verdicts(message: bytes) -> list[bool]:
    """What dkimpy says of each signature, top down."""
    zone = cast()[2]
    count = message.split(b"\r\n\r\n")[0].count(b"DKIM-Signature:")
    return [_verdict(message, index, zone) for index in range(count)]


def _verdict(message: bytes, index: int, zone: dict[bytes, bytes]) -> bool:
    try:
        return bool(
            dkimpy.DKIM(message).verify(index, dnsfunc=lambda name, timeout=5: zone.get(name))
        )
    except dkimpy.DKIMException:
        return False
