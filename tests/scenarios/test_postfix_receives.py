"""Debian's Postfix is the receiving MX, and Debian's OpenDKIM verifies what it stored."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.stack import Stack
from tests.services.postfix import Postfix

DOMAIN = "postfix.load.test"
ADDRESS = "127.88.0.1"


@pytest.fixture
def postfix(stack: Stack) -> Iterator[Postfix]:
    stack.world.set_records(DOMAIN, "MX", f"10 mx.{DOMAIN}")
    stack.world.set_records(f"mx.{DOMAIN}", "A", ADDRESS)
    # Not below tmp_path: whoever else starts pytest shuts that to the postfix account.
    with tempfile.TemporaryDirectory(prefix="postfix-") as folder:
        server = Postfix(
            Path(folder) / "postfix", domain=DOMAIN, address=ADDRESS, port=stack.world.smtp_port
        )
        yield server
        server.stop()


def opendkim_verdict(message: bytes, keys: dict[str, str], folder: Path) -> str:
    """What opendkim says of each signature; it reads the public keys from a file, not the DNS."""
    (folder / "keys").write_text("".join(f"{name} {record}\n" for name, record in keys.items()))
    (folder / "opendkim.conf").write_text(
        f"Mode v\nTestPublicKeys {folder}/keys\nUMask 007\nOn-BadSignature accept\n"
    )
    (folder / "message").write_bytes(message)
    done = subprocess.run(
        ["/usr/sbin/opendkim", "-x", str(folder / "opendkim.conf"), "-t",
         str(folder / "message"), "-vv"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


@pytest.mark.parametrize("template", [True, False], ids=["built", "raw"])
def test_postfix_takes_it_and_opendkim_verifies_it(
    stack: Stack, postfix: Postfix, tmp_path: Path, template: bool
) -> None:
    stack.start()
    stack.send([f"user1@{DOMAIN}"], template=template)
    assert stack.wait_settled() == {"delivered": 1}
    (message,) = postfix.wait_for_messages(1, 30)
    head = message.partition(b"\n\n")[0]
    assert head.count(b"DKIM-Signature:") == 2
    rsa = {name: record for name, record in stack.tenant["dkim"].items() if "k=rsa" in record}
    verdict = opendkim_verdict(message, rsa, tmp_path)
    assert "verification (s=" in verdict, verdict
    assert "succeeded" in verdict
    # The check can fail: one changed letter and the signature is bad.
    forged = opendkim_verdict(message.replace(b"Hello", b"Hallo"), rsa, tmp_path)
    assert "succeeded" not in forged
