"""Certificates and servers of the SMTP door's tests."""

from __future__ import annotations

import ssl

import pytest
import trustme

from tests.effects.smtpd.listener import Listener, config
from tests.effects.smtpd.paper_door import PaperDoor


@pytest.fixture(scope="session")
def authority():
    return trustme.CA()


@pytest.fixture
def tls_folder(authority, tmp_path):
    certificate = authority.issue_cert("mill.example", "localhost", "127.0.0.1")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    return tmp_path


@pytest.fixture
def client_tls(authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
def door():
    return PaperDoor()


@pytest.fixture
def start(tls_folder, door):
    """start(new_loop, **changes of the configuration): a running listener."""
    running = []

    def start_one(new_loop=None, **changes):
        listener = Listener(config(tls_folder, **changes), door, new_loop)
        listener.__enter__()
        running.append(listener)
        return listener

    yield start_one
    for listener in running:
        listener.__exit__()


@pytest.fixture
def listener(start):
    return start()
