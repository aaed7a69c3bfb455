"""`manage.py smtpd` as a process: accepts, stores on disk, ends with 0 on SIGTERM."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import smtplib
import socket
import sqlite3
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LETTER = b"From: a@shop.example\r\nTo: b@remote.example\r\nSubject: x\r\n\r\nBody\r\n"


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [each.getsockname()[1] for each in sockets]


@pytest.fixture
def environment(tmp_path):
    relay, submission, smtps = free_ports(3)
    own = {name: value for name, value in os.environ.items() if not name.startswith("MAILMILL_")}
    return own | {
        "MAILMILL_DATA_DIR": str(tmp_path),
        "MAILMILL_HOSTNAME": "mill.example",
        "MAILMILL_RELAY_BIND": f"127.0.0.1:{relay}",
        "MAILMILL_SUBMISSION_BIND": f"127.0.0.1:{submission}",
        "MAILMILL_SMTPS_BIND": f"127.0.0.1:{smtps}",
        "MAILMILL_REDIS_URL": "redis://127.0.0.1:1/0",
    }


def manage(environment, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "manage.py", *arguments], cwd=ROOT, env=environment,
                          capture_output=True, text=True, timeout=100, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextlib.contextmanager
def smtpd(environment):
    process = subprocess.Popen([sys.executable, "manage.py", "smtpd"], cwd=ROOT, env=environment,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True)  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def connect(process, port: int) -> smtplib.SMTP:
    """A client, as soon as the process listens."""
    while process.poll() is None:
        with contextlib.suppress(ConnectionRefusedError):
            return smtplib.SMTP("localhost", port, timeout=30)
    raise AssertionError(process.stdout.read())


def test_mail_survives_the_process_which_ends_with_zero_on_sigterm(environment, tmp_path):
    manage(environment, "migrate", "--verbosity", "0")
    made = manage(environment, "create_tenant", "shop", "--domain", "shop.example", "--json")
    tenant = json.loads(made)
    port = int(environment["MAILMILL_SUBMISSION_BIND"].rpartition(":")[2])
    with smtpd(environment) as process, connect(process, port) as client:
        context = ssl.create_default_context(cafile=str(tmp_path / "tls" / "cert.pem"))
        client.starttls(context=context)
        client.login(tenant["smtp_username"], tenant["smtp_password"])
        client.sendmail("a@shop.example", ["b@remote.example", "c@remote.example"], LETTER)
        with pytest.raises(smtplib.SMTPSenderRefused):
            client.sendmail("a@other.example", ["b@remote.example"], LETTER)
        # power off between the 250 and anything else
        process.send_signal(signal.SIGKILL)
        process.wait(20)
        with contextlib.suppress(smtplib.SMTPServerDisconnected):
            client.noop()
        client.close()
    assert stored(tmp_path) == 2
    lines = (tmp_path / "log" / "mail.log").read_text().splitlines()
    assert [json.loads(line)["kind"] for line in lines] == ["reception", "reception", "rejection"]
    assert (tmp_path / "tls" / "key.pem").stat().st_mode & 0o777 == 0o600
    with smtpd(environment) as process, connect(process, port) as client:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        client.close()


def stored(folder: Path) -> int:
    """Recipients on disk."""
    with contextlib.closing(sqlite3.connect(folder / "mailmill.sqlite3")) as database:
        [(count,)] = database.execute("select count(*) from spool_recipient").fetchall()
    return count


def test_a_taken_port_names_the_setting(environment):
    port = int(environment["MAILMILL_SUBMISSION_BIND"].rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)):
        done = subprocess.run([sys.executable, "manage.py", "smtpd"], cwd=ROOT, env=environment,
                              capture_output=True, text=True, timeout=100, check=False)  # fmt: skip
    assert done.returncode == 1
    assert f"127.0.0.1:{port}" in done.stderr
    assert "MAILMILL_SUBMISSION_BIND" in done.stderr


def test_half_a_certificate_is_refused(environment):
    done = subprocess.run([sys.executable, "manage.py", "smtpd"], cwd=ROOT,
                          env=environment | {"MAILMILL_TLS_CERT": "/nowhere/cert.pem"},
                          capture_output=True, text=True, timeout=100, check=False)  # fmt: skip
    assert done.returncode == 1
    assert "MAILMILL_TLS_KEY" in done.stderr
