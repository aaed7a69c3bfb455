"""Each role of the cast does what its story says, once seen from a sender."""

from __future__ import annotations

import smtplib
import ssl
import time

import pytest

from tests.effects.world.sender import (
    SENDER,
    connect,
    deliver,
    mx_addresses,
    raw,
    send,
    talk,
)
from tests.services.processes import wait_until
from tests.world.cast import ROLES, campaign

OK = "250 2.0.0 Ok: queued as"


def test_accepts(world):
    assert deliver(world, "a@accepts.demo.test").startswith(OK)
    (got,) = world.accepted("accepts.demo.test")
    assert (got.recipient, got.sender, got.mx_address) == (
        "a@accepts.demo.test", SENDER, "127.77.1.1",
    )  # fmt: skip
    assert got.client_address == "127.0.0.1"


def test_greylists_each_triplet_for_its_time(world):
    world.set_behaviour("greylist.demo.test", "greylist", greylist_seconds=0.3)
    recipient = "a@greylist.demo.test"
    began = time.monotonic()
    assert deliver(world, recipient).startswith("451 4.7.1")
    wait_until(lambda: deliver(world, recipient).startswith(OK), 5, "the end of the greylisting")
    assert time.monotonic() - began >= 0.3
    assert deliver(world, recipient, source="127.0.0.9").startswith("451 4.7.1")
    assert deliver(world, "b@greylist.demo.test").startswith("451 4.7.1")


def test_knows_nobody(world):
    assert deliver(world, "a@nobody.demo.test").startswith("550 5.1.1")
    assert world.site("nobody.demo.test").refusals == {"rcpt 550": 1}


def test_is_full_twice_for_each_recipient(world):
    for recipient in ("a@full.demo.test", "b@full.demo.test"):
        replies = [deliver(world, recipient)[:9] for _ in range(4)]
        assert replies == ["452 4.2.2", "452 4.2.2", "250 2.0.0", "250 2.0.0"]


def test_blocks_the_sender(world):
    assert deliver(world, "a@block.demo.test").startswith("554 5.7.1")


def test_first_mx_is_dead_and_the_second_accepts(world):
    dead, alive = mx_addresses(world, "firstdead.demo.test")
    with pytest.raises(ConnectionRefusedError):
        smtplib.SMTP(dead, world.smtp_port, timeout=5)
    with smtplib.SMTP(alive, world.smtp_port, timeout=5) as session:
        assert send(session, "a@firstdead.demo.test").startswith(OK)


def test_address_without_mx_accepts(world):
    with smtplib.SMTP("127.77.7.1", world.smtp_port, timeout=5) as session:
        assert send(session, "a@nomx.demo.test").startswith(OK)


def over_tls(world, recipient: str) -> str:
    """STARTTLS with the certificate verified against the world's authority."""
    domain = recipient.rpartition("@")[2]
    with connect(world, domain) as session:
        session.starttls(context=ssl.create_default_context(cafile=str(world.ca_file)))
        assert isinstance(session.sock, ssl.SSLSocket)
        names = (session.sock.getpeercert() or {})["subjectAltName"]
        assert ("DNS", f"mx1.{domain}") in names
        return send(session, recipient)


def test_starttls(world):
    assert over_tls(world, "a@starttls.demo.test").startswith(OK)
    assert world.accepted("starttls.demo.test")[0].tls
    assert deliver(world, "b@starttls.demo.test").startswith(OK)
    assert not world.accepted("starttls.demo.test")[1].tls


def test_starttls_required(world):
    world.set_behaviour("starttls.demo.test", "starttls_required")
    assert deliver(world, "a@starttls.demo.test").startswith("530 5.7.0")
    assert over_tls(world, "a@starttls.demo.test").startswith(OK)


def test_starttls_broken_takes_plaintext(world):
    with connect(world, "brokentls.demo.test") as session:
        session.ehlo()
        assert session.has_extn("starttls")
        with pytest.raises(ssl.SSLError):
            session.starttls()
        session.close()
    assert deliver(world, "a@brokentls.demo.test").startswith(OK)


def test_drops_in_data_once_per_recipient(world):
    replies = [deliver(world, "a@drops.demo.test") for _ in range(2)]
    assert replies[0] == "dropped"
    assert replies[1].startswith(OK)
    assert deliver(world, "b@drops.demo.test") == "dropped"
    assert world.times_accepted() == {"a@drops.demo.test": 1}


def test_hangs_up_after_five_messages(world):
    with connect(world, "fivefirst.demo.test") as session:
        replies = [send(session, f"{n}@fivefirst.demo.test") for n in range(5)]
        assert all(reply.startswith(OK) for reply in replies)
        assert session.mail(SENDER)[0] == 421
        with pytest.raises(smtplib.SMTPServerDisconnected):
            session.noop()


def test_421_reaches_a_sender_that_pipelines(world):
    world.set_behaviour("fivefirst.demo.test", "limit_messages", messages_per_connection=1)
    envelope = b"MAIL FROM:<>\r\nRCPT TO:<a@fivefirst.demo.test>\r\nDATA\r\n"
    content = b"x" * 900 + b"\r\n"
    with raw(world, "fivefirst.demo.test") as connection:
        said = talk(connection, b"", b"220 ") + talk(connection, b"EHLO me\r\n", b"SIZE")
        said = talk(connection, envelope + b"s: 1\r\n\r\nx\r\n.\r\n" + envelope, b"421 ")
        said += talk(connection, content * 300 + b".\r\n", b"never")
    assert said.count(b"354 ") == 1
    assert b"421 4.7.0" in said
    assert len(world.accepted()) == 1


def test_is_slow(world):
    world.set_behaviour("slow.demo.test", "slow", delay=0.2)
    began = time.monotonic()
    assert deliver(world, "a@slow.demo.test").startswith(OK)
    assert time.monotonic() - began >= 0.2


def test_ascii_peer_refuses_internationalised_addresses(world):
    with connect(world, "ascii.demo.test") as session:
        session.ehlo()
        assert not session.has_extn("smtputf8")
        assert session.docmd("MAIL", "FROM:<> SMTPUTF8")[0] == 555
        assert session.docmd("MAIL", "FROM:<>")[0] == 250
        session.command_encoding = "utf-8"
        assert session.docmd("RCPT", "TO:<grüße1@ascii.demo.test>")[0] == 553
        assert session.docmd("RCPT", "TO:<plain@ascii.demo.test>")[0] == 250


def test_other_peers_take_internationalised_addresses(world):
    with connect(world, "accepts.demo.test") as session:
        session.ehlo()
        session.mail(SENDER, ["SMTPUTF8", "BODY=8BITMIME"])
        session.command_encoding = "utf-8"
        assert session.rcpt("grüße@accepts.demo.test")[0] == 250
        assert session.data("Subject: grüße\r\n\r\nx\r\n".encode())[0] == 250
    assert world.accepted()[0].recipient == "grüße@accepts.demo.test"


def test_is_too_busy_for_the_first_three_connections(world):
    replies = [deliver(world, "a@busy.demo.test")[:3] for _ in range(4)]
    assert replies == ["421", "421", "421", "250"]


def test_campaign_reaches_every_role_with_different_recipients(world):
    mail = campaign(1000)
    assert {role.domain for role, _ in mail} == {role.domain for role in ROLES}
    assert len({address for _, address in mail}) == 1000
    assert sum(role.domain == "slow.demo.test" for role, _ in mail) < 30
