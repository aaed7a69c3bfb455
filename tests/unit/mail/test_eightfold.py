"""Eight at a time gives OpenSSL's bytes, whatever is mixed; what is wrong never leaves."""

import hashlib
import logging
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import (
    RSAPrivateKey,
    RSAPrivateNumbers,
    generate_private_key,
    rsa_crt_iqmp,
)

from mta.mail import crypto_mb, eightfold
from mta.mail.eightfold import Key, sign_digests

needs_library = pytest.mark.skipif(
    eightfold.engine() == "OpenSSL", reason=f"not eight at a time here: {eightfold.reason()}"
)


@pytest.fixture(autouse=True)
def process(monkeypatch: pytest.MonkeyPatch) -> eightfold._Process:
    """As a process that has not signed yet."""
    fresh = eightfold._Process()
    monkeypatch.setattr(eightfold, "_process", fresh)
    return fresh


@lru_cache
def key(bits: int, number: int = 0) -> Key:
    """A key made for these tests; 0 bits is Ed25519."""
    return Key(generate_private_key(65537, bits) if bits else Ed25519PrivateKey.generate())


def digest(index: int) -> bytes:
    return hashlib.sha256(b"%d" % index).digest()


def by_openssl(jobs: list[tuple[Key, bytes]]) -> list[bytes]:
    return [key.sign(digest) for key, digest in jobs]


@needs_library
@pytest.mark.parametrize("bits", [0, 1024, 2048, 3072, 4096])
def test_same_bytes_as_openssl(bits: int, process: eightfold._Process) -> None:
    # 27: the first group is compared with OpenSSL, the others stand alone, three are left over.
    jobs = [(key(bits), digest(index)) for index in range(27)]
    assert sign_digests(jobs) == by_openssl(jobs)
    assert process.proven == {key(bits).kind: True}
    assert eightfold.faults() == 0


@needs_library
def test_keys_and_kinds_are_mixed(process: eightfold._Process) -> None:
    cast = [key(2048), key(0), key(2048, 1), key(1024), key(0, 1), Key(odd_exponent())]
    jobs = [(cast[index * 7 % len(cast)], digest(index)) for index in range(100)]
    assert sign_digests(jobs) == by_openssl(jobs)
    assert process.proven == {"rsa-2048": True, "ed25519": True, "rsa-1024": True}


@needs_library
def test_factors_in_either_order() -> None:
    # OpenSSL makes keys with p > q; other tools do not care.
    n = key(1024).private_key.private_numbers()  # type: ignore[union-attr]  # it is RSA
    turned = RSAPrivateNumbers(
        n.q, n.p, n.d, n.dmq1, n.dmp1, rsa_crt_iqmp(n.q, n.p), n.public_numbers
    )
    jobs = [(Key(turned.private_key()), digest(index)) for index in range(16)]
    assert sign_digests(jobs) == by_openssl(jobs)
    assert eightfold.faults() == 0


def odd_exponent() -> RSAPrivateKey:
    return generate_private_key(3, 2048)


@pytest.mark.parametrize("private_key", [odd_exponent(), generate_private_key(65537, 1536)])
def test_keys_without_a_method_are_openssls(private_key: RSAPrivateKey) -> None:
    lone = Key(private_key)
    assert lone.kind == ""
    jobs = [(lone, digest(index)) for index in range(9)]
    assert sign_digests(jobs) == by_openssl(jobs)


@needs_library
@pytest.mark.parametrize("bits", [0, 2048])
def test_a_wrong_signature_never_leaves(
    bits: int, process: eightfold._Process, caplog: pytest.LogCaptureFixture
) -> None:
    faulty, sound = Key(key(bits).private_key), key(bits, 1)
    sign_digests([(sound, digest(index)) for index in range(8)])
    faulty.numbers()._memory[40] = bytes([faulty.numbers()._memory[40][0] ^ 1])
    jobs = [((faulty, sound)[index % 2], digest(index)) for index in range(8)]
    assert sign_digests(jobs) == by_openssl(jobs)
    assert eightfold.faults() == 4
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 4
    assert all("did not verify" in record.getMessage() for record in caplog.records)


@needs_library
def test_a_kind_whose_first_eight_are_wrong_is_openssls(
    process: eightfold._Process, caplog: pytest.LogCaptureFixture
) -> None:
    faulty = Key(key(1024).private_key)
    faulty.numbers()._memory[3] = bytes([faulty.numbers()._memory[3][0] ^ 1])
    jobs = [(faulty, digest(index)) for index in range(16)]
    assert sign_digests(jobs) == by_openssl(jobs)
    assert process.proven == {"rsa-1024": False}
    assert "rsa-1024 is OpenSSL's from now on" in caplog.text
    assert eightfold.faults() == 0


@needs_library
def test_threads_share_nothing() -> None:
    def work(start: int) -> bool:
        jobs = [(key(2048 * (i % 2), start % 2), digest(start + i)) for i in range(24)]
        expected = by_openssl(jobs)
        return all(sign_digests(jobs) == expected for _ in range(10))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4)))
    assert eightfold.faults() == 0


_FORKED = """
import os
from tests.unit.mail.test_eightfold import by_openssl, digest, eightfold, key, sign_digests
jobs = [(key(2048 * (index % 2)), digest(index)) for index in range(32)]
expected = by_openssl(jobs)
assert sign_digests(jobs) == expected
children = []
for _ in range(3):
    child = os.fork()
    if not child:
        os._exit(any(sign_digests(jobs) != expected for _ in range(5)) or eightfold.faults())
    children.append(child)
assert sign_digests(jobs) == expected
assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
"""


@needs_library
def test_forks_share_nothing() -> None:
    subprocess.run([sys.executable, "-c", _FORKED], check=True)


def test_openssl_can_be_chosen() -> None:
    eightfold.use("openssl")
    assert eightfold.engine() == "OpenSSL"
    assert eightfold.reason() == "it was chosen"
    jobs = [(key(1024), digest(index)) for index in range(8)]
    assert sign_digests(jobs) == by_openssl(jobs)
    with pytest.raises(ValueError, match="auto or openssl"):
        eightfold.use("fast")


def test_without_the_package_openssl_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crypto_mb, "PACKAGE", "no-such-package")
    assert eightfold.engine() == "OpenSSL"
    assert eightfold.reason() == "the package no-such-package is not installed"
    jobs = [(key(1024), digest(index)) for index in range(8)]
    assert sign_digests(jobs) == by_openssl(jobs)


def test_numbers_never_show() -> None:
    shown = repr(key(1024)) + str(key(1024)) + repr(key(1024).numbers())
    assert str(key(1024).private_key.private_numbers().p) not in shown  # type: ignore[union-attr]
    assert "_memory" not in shown


def test_numbers_are_wiped_with_their_key() -> None:
    going = Key(key(1024).private_key)
    memory = going.numbers()._memory
    assert any(memory.raw)
    del going
    assert not any(memory.raw)
