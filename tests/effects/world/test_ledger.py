"""The ledger loses nothing, counts twice what came twice, and keeps what a test wants to read."""

from __future__ import annotations

import hashlib
import smtplib
import subprocess
from pathlib import Path

import pytest

from tests.effects.world.sender import MESSAGE, SENDER, connect, deliver, raw, send, talk
from tests.world.client import World

DOMAIN = "accepts.demo.test"
SMTP_SOURCE = Path("/usr/sbin/smtp-source")


def test_content_is_kept_without_dot_stuffing(world):
    content = b"Message-id:\r\n <2@x>\r\n\r\n.one\r\n..two\r\n.\r\nend\r\n"
    with connect(world, DOMAIN) as session:
        assert send(session, f"a@{DOMAIN}", content).startswith("250")
    (got,) = world.accepted()
    assert world.content(got.number) == content
    assert got.sha256 == hashlib.sha256(content).hexdigest()
    assert (got.size, got.message_id) == (len(content), "<2@x>")


def test_one_message_for_three_recipients_is_three_acceptances(world):
    with connect(world, DOMAIN) as session:
        session.sendmail(SENDER, [f"{n}@{DOMAIN}" for n in range(3)], MESSAGE)
    assert world.times_accepted() == {f"{n}@{DOMAIN}": 1 for n in range(3)}
    assert len({one.connection for one in world.accepted()}) == 1


def test_pipelined_envelopes_behind_the_dot_in_one_write(world):
    parts = [
        b"MAIL FROM:<>\r\nRCPT TO:<%d@accepts.demo.test>\r\nDATA\r\n%s.\r\n" % (n, MESSAGE)
        for n in range(50)
    ]
    with raw(world, DOMAIN) as connection:
        talk(connection, b"", b"220 ")
        talk(connection, b"EHLO me\r\n", b"SIZE")
        said = talk(connection, b"".join(parts) + b"QUIT\r\n", b"221 ")
    assert said.count(b"queued as") == 50
    assert len(world.accepted()) == 50


def test_dot_split_at_every_place(world):
    message = b"s: 1\r\n\r\n.x\r\n"
    wire = b"s: 1\r\n\r\n..x\r\n.\r\n"
    with raw(world, DOMAIN) as connection:
        talk(connection, b"", b"220 ")
        talk(connection, b"EHLO me\r\n", b"SIZE")
        for at in range(1, len(wire)):
            envelope = b"MAIL FROM:<>\r\nRCPT TO:<%d@accepts.demo.test>\r\nDATA\r\n" % at
            talk(connection, envelope, b"354 ")
            connection.sendall(wire[:at])
            assert b"queued" in talk(connection, wire[at:], b"\r\n")
    got = world.accepted()
    assert {world.content(one.number) for one in got} == {message}
    assert len(got) == len(wire) - 1


def test_empty_message(world):
    with raw(world, DOMAIN) as connection:
        talk(connection, b"", b"220 ")
        envelope = b"HELO me\r\nMAIL FROM:<>\r\nRCPT TO:<a@accepts.demo.test>\r\nDATA\r\n"
        talk(connection, envelope, b"354 ")
        assert b"queued" in talk(connection, b".\r\n", b"queued")
    assert world.accepted()[0].size == 0


def test_reset_begins_anew(world):
    deliver(world, f"a@{DOMAIN}")
    assert len(world.accepted()) == 1
    world.reset()
    assert world.accepted() == []
    deliver(world, f"b@{DOMAIN}")
    assert [(one.number, one.recipient) for one in world.accepted()] == [(0, f"b@{DOMAIN}")]


def test_waiting_in_vain_names_what_was_waited_for(world):
    deliver(world, f"a@{DOMAIN}")
    with pytest.raises(AssertionError, match=r"pigs.*accepts.demo.test': 1"):
        world.wait_for(lambda got: len(got) > 1, 0.05, "pigs that fly")


@pytest.mark.skipif(not SMTP_SOURCE.exists(), reason="postfix's smtp-source is not installed")
@pytest.mark.parametrize("count_only", [False, True])
def test_nothing_is_lost_under_load(tmp_path, count_only):
    with World.start(tmp_path, keep_content=10, count_only=count_only) as world:
        subprocess.run(
            [SMTP_SOURCE, "-d", "-N", "-s", "20", "-l", "2048", "-m", "3000", "-f", SENDER,
             "-t", "x@sink.demo.test", f"127.77.20.1:{world.smtp_port}"],
            check=True, timeout=60,
        )  # fmt: skip
        assert world.total == 3000
        assert world.site("sink.demo.test").accepted == 3000
        counts = world.times_accepted()
        assert len(counts) == (0 if count_only else 3000)
        assert set(counts.values()) <= {1}
        with pytest.raises(LookupError):
            world.content(10)


def strict(world: World, content: bytes) -> bytes:
    with raw(world, DOMAIN) as connection:
        talk(connection, b"", b"220 ")
        envelope = b"EHLO me\r\nMAIL FROM:<>\r\nRCPT TO:<a@accepts.demo.test>\r\nDATA\r\n"
        talk(connection, envelope, b"354 ")
        return talk(connection, content + b"\r\n.\r\n", b"\r\n")


@pytest.mark.parametrize(
    ("content", "reply"),
    [
        (b"s: 1\r\n\r\nbare\nLF", b"550 5.6.11"),
        (b"s: 1\r\n\r\nbare\rCR", b"550 5.6.11"),
        (b"s: 1\r\n\r\nend\n.\nMAIL FROM:<>", b"550 5.6.11"),
        (b"s: 1\r\n\r\nend\r\n.\nMAIL FROM:<>", b"550 5.6.11"),
        (b"s: 1\r\n\r\nNUL\0", b"550 5.6.11"),
        (b"s: 1\r\n\r\n" + b"x" * 999, b"500 5.6.0"),
        (b"s: 1\r\n\r\n\xc3\xbc", b"554 5.6.3"),
        (b"s: 1\r\n\r\n" + b"x" * 998, b"250 2.0.0"),
    ],
)
def test_malformed_content_is_refused(world, content, reply):
    assert strict(world, content).startswith(reply)
    assert len(world.accepted()) == reply.startswith(b"250")


def test_commands_out_of_order_and_unknown_parameters(world):
    with connect(world, DOMAIN) as session:
        assert session.docmd("MAIL", "FROM:<>")[0] == 503
        session.ehlo()
        assert session.docmd("RCPT", f"TO:<a@{DOMAIN}>")[0] == 503
        assert session.docmd("DATA")[0] == 503
        assert session.docmd("MAIL", "FROM:<> COLOUR=RED")[0] == 555
        assert session.docmd("MAIL", "FROM: a@b")[0] == 501
        assert session.docmd("MAIL", "FROM:<> SIZE=99999999")[0] == 552
        assert session.docmd("MAIL", "FROM:<> SIZE=9")[0] == 250
        assert session.docmd("RCPT", "TO:<a@elsewhere.test>")[0] == 550
        assert session.docmd("DATA")[0] == 554
        assert session.docmd("BDAT", "1 LAST")[0] == 500


def test_larger_than_announced_size(world):
    world.set_behaviour(DOMAIN, "accept", size=100)
    with connect(world, DOMAIN) as session, pytest.raises(smtplib.SMTPSenderRefused) as refused:
        session.sendmail(SENDER, f"a@{DOMAIN}", MESSAGE + b"x" * 100)
    assert refused.value.smtp_code == 552
    assert world.accepted() == []
