"""The certificate of the listeners: the operator's, or a self-signed one made at first start."""

from __future__ import annotations

import ipaddress
import os
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

VALID = timedelta(days=3650)


class CertificateError(Exception):
    """The certificate cannot be used; the text names the file and what to do."""


def server_context(cert_file: Path, key_file: Path) -> ssl.SSLContext:
    """TLS 1.2 or newer (RFC 8996) with this certificate; CertificateError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    load(context, cert_file, key_file)
    return context


def load(context: ssl.SSLContext, cert_file: Path, key_file: Path) -> None:
    """Use these files for handshakes from now on; CertificateError."""
    try:
        context.load_cert_chain(cert_file, key_file)
    except OSError as error:  # ssl.SSLError is one
        raise CertificateError(
            f"The certificate {cert_file} with key {key_file} cannot be used ({error}): "
            "set MAILMILL_TLS_CERT and MAILMILL_TLS_KEY to a PEM certificate chain and its key."
        ) from error


def ensure_self_signed(cert_file: Path, key_file: Path, hostname: str) -> None:
    """Make the pair when one of the files is missing; the key is readable by its owner only."""
    if cert_file.exists() and key_file.exists():
        return
    cert_file.parent.mkdir(parents=True, exist_ok=True)
    certificate, key = self_signed(hostname, now=datetime.now(UTC))
    write_file(key_file, key, mode=0o600)
    write_file(cert_file, certificate, mode=0o644)


def self_signed(hostname: str, *, now: datetime) -> tuple[bytes, bytes]:
    """(certificate, key) as PEM for the host name, localhost and the loopback addresses."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hostname[:64])])
    names: list[x509.GeneralName] = [x509.DNSName(host) for host in {hostname, "localhost"}]
    names += [x509.IPAddress(ipaddress.ip_address(ip)) for ip in ("127.0.0.1", "::1")]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM), key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def write_file(path: Path, content: bytes, *, mode: int) -> None:
    """Put the file in place whole; a reader never sees half of it."""
    part = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    part.replace(path)
