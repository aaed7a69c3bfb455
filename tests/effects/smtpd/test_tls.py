"""Certificates: made once, kept, replaced without a restart."""

from __future__ import annotations

import ssl

import pytest
import trustme

from mta.smtpd import tls
from mta.smtpd.config import Kind
from mta.smtpd.server import reload_certificate
from tests.effects.smtpd.listener import RawClient, config


def test_a_self_signed_pair_is_made_once(tmp_path):
    cert, key = tmp_path / "tls" / "cert.pem", tmp_path / "tls" / "key.pem"
    tls.ensure_self_signed(cert, key, "mill.example")
    made = cert.read_bytes(), key.read_bytes()
    tls.ensure_self_signed(cert, key, "other.example")
    assert (cert.read_bytes(), key.read_bytes()) == made
    assert key.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in cert.parent.iterdir()) == ["cert.pem", "key.pem"]


def test_a_bad_certificate_names_file_and_setting(tmp_path):
    (tmp_path / "cert.pem").write_text("nonsense")
    (tmp_path / "key.pem").write_text("nonsense")
    with pytest.raises(tls.CertificateError, match=r"cert\.pem.*MAILMILL_TLS_CERT"):
        tls.server_context(tmp_path / "cert.pem", tmp_path / "key.pem")


def handshake(port: int, authority: trustme.CA) -> bytes:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with RawClient(port) as client:
        client.ask(b"EHLO x\r\n")
        client.start_tls(context)
        return client.ask(b"NOOP\r\n")


def test_a_renewed_certificate_serves_the_next_handshake(listener, tls_folder, authority):
    port = listener.ports[Kind.RELAY]
    renewed = trustme.CA()
    assert handshake(port, authority).startswith(b"250")
    pair = renewed.issue_cert("mill.example")
    pair.private_key_pem.write_to_path(tls_folder / "key.pem")
    pair.cert_chain_pems[0].write_to_path(tls_folder / "cert.pem")
    reload_certificate(listener.server.hub.tls, config(tls_folder))
    assert handshake(port, renewed).startswith(b"250")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(port, authority)


def test_a_bad_renewal_changes_nothing(listener, tls_folder, authority, caplog):
    (tls_folder / "cert.pem").write_text("half written")
    reload_certificate(listener.server.hub.tls, config(tls_folder))
    assert "cert.pem" in caplog.text
    assert handshake(listener.ports[Kind.RELAY], authority).startswith(b"250")
