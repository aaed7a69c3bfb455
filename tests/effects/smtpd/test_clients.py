"""Real clients hand in mail: smtplib, aiosmtplib, swaks, Postfix's smtp-source."""

from __future__ import annotations

import asyncio
import shutil
import smtplib
import subprocess
from email.message import EmailMessage

import aiosmtplib
import pytest

from mta.mail import ids
from mta.smtpd.config import Kind
from tests.effects.smtpd.listener import LETTER


def letter() -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"] = "Ann <a@acme.example>", "b@remote.example"
    message["Subject"] = "Grüße"
    message["Bcc"] = "hidden@remote.example"
    message.set_content("One line.\n.\n..two\n")
    return message


def test_smtplib_submits_with_starttls_and_auth(listener, door, client_tls):
    with smtplib.SMTP("localhost", listener.ports[Kind.SUBMISSION]) as client:
        client.starttls(context=client_tls)
        client.login("acme-app", "correct horse")
        client.send_message(letter())
    [stored] = door.stored
    assert stored.tenant_id == 1
    assert stored.stream_id == 10
    assert stored.reverse_path == "a@acme.example"
    assert [str(each.address) for each in stored.recipients] == [
        "b@remote.example",
        "hidden@remote.example",
    ]
    assert b"hidden" not in stored.content
    assert stored.content.endswith(b"One line.\r\n.\r\n..two\r\n")
    assert stored.subject == "Grüße"
    assert f"with ESMTPSA id {ids.encode(stored.message_id)};\r\n".encode() in stored.content


def test_smtplib_over_implicit_tls(listener, door, client_tls):
    port = listener.ports[Kind.SMTPS]
    with smtplib.SMTP_SSL("localhost", port, context=client_tls) as client:
        client.ehlo()
        assert not client.has_extn("starttls")
        client.login("acme-app", "correct horse")
        client.sendmail("a@acme.example", ["b@remote.example"], LETTER)
    assert len(door.stored) == 1


def test_smtplib_relays_from_an_allowed_network(listener, door):
    with smtplib.SMTP("127.0.0.1", listener.ports[Kind.RELAY]) as client:
        client.sendmail("g@globex.example", ["b@remote.example"],
                        LETTER.replace(b"acme", b"globex"))  # fmt: skip
        code, text = client.docmd("VRFY", "somebody")
    assert code == 252, text
    [stored] = door.stored
    assert stored.tenant_id == 2


def test_aiosmtplib_sends_an_internationalised_address(listener, door, client_tls):
    async def send() -> None:
        async with aiosmtplib.SMTP(
            hostname="localhost",
            port=listener.ports[Kind.SUBMISSION],
            start_tls=True,
            tls_context=client_tls,
        ) as client:
            await client.login("acme-app", "correct horse")
            await client.sendmail(
                "a@acme.example", ["ü@remote.example"], LETTER, mail_options=["SMTPUTF8"]
            )

    asyncio.run(send())
    [stored] = door.stored
    assert stored.smtputf8
    assert str(stored.recipients[0].address) == "ü@remote.example"
    assert b"with UTF8SMTPSA id" in stored.content


@pytest.mark.skipif(not shutil.which("swaks"), reason="swaks is not installed")
def test_swaks_speaks_pipelining(listener, door):
    done = subprocess.run(
        ["swaks", "--server", "127.0.0.1", "--port", str(listener.ports[Kind.RELAY]),
         "--pipeline", "--from", "a@acme.example", "--to",
         "b@remote.example,c@remote.example", "--header", "X-Mailmill-Stream: marketing"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    [stored] = door.stored
    assert stored.stream_id == 20
    assert b"X-Mailmill" not in stored.content
    assert len(stored.recipients) == 2


@pytest.mark.skipif(not shutil.which("smtp-source"), reason="Postfix is not installed")
def test_smtp_source_shares_commits_between_sessions(listener, door):
    door.may_store.clear()
    source = subprocess.Popen(
        ["smtp-source", "-s", "10", "-m", "200", "-l", "2048", "-f", "a@acme.example",
         "-t", "b@remote.example", f"127.0.0.1:{listener.ports[Kind.RELAY]}"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert door.storing.wait(20)
    door.may_store.set()
    output, _ = source.communicate(timeout=60)
    assert source.returncode == 0, output
    assert len(door.stored) == 200
    assert len({stored.message_id for stored in door.stored}) == 200
