"""Signatures that dkimpy accepts, on the messages that break signers, and keys that are refused."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mta.mail import dkim
from tests.unit.mail.dkim_judge import cast, verdicts

#: 512 bits, made for this test: `cryptography` refuses to make one.
SHORT_RSA = b"""\
-----BEGIN PRIVATE KEY-----
MIIBVAIBADANBgkqhkiG9w0BAQEFAASCAT4wggE6AgEAAkEAmLI2XO3Qf+rK6Pqn
gii+cgno6eAcXIDDeWgmI7SNLGdu1d3wOO59V/dmn0W+S02h1J2GJdK4lLZ1bEtE
jb+YwQIDAQABAkBYNDGk8pbLHXTCqe/TBvgj5ceOObAIWzUPT3Mgku4tpFl9IqB3
gE0PocqoHz8qydd39EtS8sta7r67XSkl3ZNVAiEAxrSpA7P8tfHl5uSM+5Ow1YBQ
LyqpIjdpXTFycS+1FQMCIQDEuWJv0mNEQFX1Wm1oDhM3t0GcsSDLWU3QT+tDUR7F
6wIgFppwa3Jq+ct1iolPHEMVp4O8G1FwAetpuecpDIUPxT8CIGvOmFZleobtpu21
Z52NkRSIdglzvGAUCaOuGGSksPOPAiEAoIfXrdWKcPDldBq+ak0ROPLhdlEtED12
dSmlft/a6Kk=
-----END PRIVATE KEY-----
"""

HEAD = (
    b"From: Ann <ann@example.org>\r\nTo: c@d.org\r\nSubject: hello\r\n"
    b"Date: Sat, 21 Nov 2026 04:05:06 +0000\r\nMessage-ID: <x@y>\r\n"
)


def signed(wire: bytes, body_hash: bytes | None = None) -> bytes:
    rsa_key, ed25519_key, _ = cast()
    return dkim.sign(wire, [rsa_key, ed25519_key], now=1_780_000_000, body_hash=body_hash) + wire


@pytest.mark.parametrize(
    "body",
    [b"", b"\r\n", b"\r\n\r\n\r\n", b"hi\r\n", b"hi\r\n\r\n\r\n", b" \r\n\t\r\n",
     b"a \t b\t\r\n c  d \r\n \r\n", "Grüße\r\n".encode(), b"caf\xe9 \x80\r\n", b"\r\n" * 5000,
     b"x" * 998 + b"\r\n", b".\r\n..\r\n"],
)  # fmt: skip
def test_bodies(body: bytes) -> None:
    assert verdicts(signed(HEAD + b"\r\n" + body)) == [True, True]


@pytest.mark.parametrize(
    "head",
    [
        b"From: a@example.org\r\n",
        HEAD + b"X-None: x\r\nCc:\r\nReply-To: \t \r\n",
        b"FROM:  a@example.org \t\r\nsubject:\r\n folded\r\n\t more  words \r\n"
        + b"To: b@c.org\r\n",
        HEAD + b"To: second@d.org\r\nCc: a@b.org\r\nTo: third@d.org\r\n",
        "From: Zoë <é@example.org>\r\nSubject: Grüße\r\n".encode(),
        HEAD + b"".join(b"References: <%d@x>\r\n" % index for index in range(40)),
        HEAD + b"DKIM-Signature: v=1; a=rsa-sha256; b=old\r\n",
    ],
)
def test_headers(head: bytes) -> None:
    assert verdicts(signed(head + b"\r\nhi\r\n"))[:2] == [True, True]


@pytest.mark.parametrize(
    "name",
    ["Subject", "List-Unsubscribe", "List-Unsubscribe-Post", "Content-Type", "MIME-Version",
     "Reply-To", "Cc", "Feedback-ID"],
)  # fmt: skip
def test_a_change_of_a_covered_field_is_noticed(name: str) -> None:
    field = f"{name}: before\r\n".encode()
    message = signed(HEAD.replace(b"Subject: hello\r\n", b"") + field + b"\r\nhi\r\n")
    assert verdicts(message) == [True, True]
    assert verdicts(message.replace(b": before", b": after")) == [False, False]


def test_a_second_from_and_a_changed_body_are_noticed() -> None:
    message = signed(HEAD + b"\r\nhi\r\n")
    assert verdicts(message.replace(b"To:", b"From: evil@x.org\r\nTo:")) == [False, False]
    assert verdicts(message.replace(b"\r\nhi", b"\r\nho")) == [False, False]


def test_shared_body_hash_gives_the_same_signature() -> None:
    wire = HEAD + b"\r\nhi  there\r\n"
    assert signed(wire, dkim.body_hash(b"hi  there\r\n")) == signed(wire)
    assert dkim.body_hash(b"") == b"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="  # RFC 6376 3.4.4


def test_fields_are_folded_and_name_their_key() -> None:
    field = dkim.sign(HEAD + b"\r\nhi\r\n", cast()[:2], now=7)
    assert max(map(len, field.split(b"\r\n"))) <= 78
    assert field.endswith(b"\r\n")
    assert b"d=example.org; s=r1;" in field
    assert b"t=7;" in field
    assert field.count(b"DKIM-Signature:") == 2


def test_message_without_from_cannot_be_signed() -> None:
    with pytest.raises(ValueError, match="From"):
        dkim.sign(b"Subject: x\r\n\r\nhi\r\n", cast()[:1], now=7)


def test_private_key_never_shows() -> None:
    assert "private_key" not in repr(cast()[0])


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize(
    ("domain", "selector", "algorithm", "text", "why"),
    [
        ("a b", "s", dkim.RSA, b"", "domain"),
        ("x.org", "", dkim.RSA, b"", "selector"),
        ("x.org", "a; b=", dkim.RSA, b"", "selector"),
        ("x.org", "s", dkim.RSA, b"SECRET", "PEM"),
        ("x.org", "s", dkim.RSA, dkim.generate(dkim.ED25519), "not 'rsa-sha256'"),
        ("x.org", "s", dkim.RSA, pem(ec.generate_private_key(ec.SECP256R1())), "RSA or Ed25519"),
    ],
)
def test_unusable_keys(domain: str, selector: str, algorithm: str, text: bytes, why: str) -> None:
    with pytest.raises(dkim.KeyUnusable, match=why) as caught:
        dkim.load_key(domain, selector, algorithm, text)
    assert "SECRET" not in str(caught.value)


def test_short_rsa_and_unknown_algorithms_are_refused() -> None:
    with pytest.raises(dkim.KeyUnusable, match="bits"):
        dkim.load_key("x.org", "s", dkim.RSA, SHORT_RSA)
    with pytest.raises(dkim.KeyUnusable, match="algorithm"):
        dkim.generate("rsa-sha1")


def test_dns_records() -> None:
    assert dkim.dns_record(dkim.generate(dkim.ED25519)).startswith("v=DKIM1; k=ed25519; p=")
    assert dkim.dns_record(dkim.generate(dkim.RSA)).startswith("v=DKIM1; k=rsa; p=MIIBIjAN")
