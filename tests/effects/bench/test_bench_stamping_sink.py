"""The benchmarks' own sink, as the process that it is."""

from __future__ import annotations

import smtplib
import time
from collections.abc import Iterator
from pathlib import Path

import dns.message
import dns.query
import pytest

from tests.bench.crowd import Crowd, tally
from tests.bench.stamping_sink import StampingSink
from tests.services.processes import wait_until

MAIL = "Subject: x\r\n\r\nhello\r\n"


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[StampingSink]:
    with StampingSink(tmp_path) as running:
        yield running


def test_a_mail_host_found_by_its_name_server_takes_the_mail_and_notes_when(
    sink: StampingSink,
) -> None:
    host, port = sink.dns.split(":")
    query = dns.message.make_query("mx.d1.tail.test", "A")
    address = dns.query.udp(query, host, port=int(port), timeout=5).answer[0][0].to_text()
    before = time.time_ns()
    with smtplib.SMTP(address, sink.port, timeout=5) as session:
        session.sendmail("a@acme.test", ["1x@d1.tail.test", "2x@d1.tail.test"], MAIL)
        after = time.time_ns()
        session.sendmail("a@acme.test", ["2x@d1.tail.test"], MAIL)
    crowd = Crowd(3, "x", "d1.tail.test")
    sink.wait_for(list(crowd)[:2], patience=5)
    wait_until(lambda: sink.accepted().total() == 3, 5, "three recipients")
    found = tally(crowd, sink.accepted())
    assert (found.lost, found.doubled) == (1, 1)
    assert all(before < sink.stamps[who] < after for who in list(crowd)[:2])


def test_a_slow_receiver_counts_mail_at_the_dot_and_answers_later(tmp_path: Path) -> None:
    with (
        StampingSink(tmp_path, delay=0.5) as slow,
        smtplib.SMTP(slow.host, slow.port, timeout=5) as session,
    ):
        wait_until(lambda: slow.connections() == 1, 5, "one connection")
        session.sendmail("a@acme.test", ["1s@own.test"], MAIL)
        answered_at = time.time_ns()
        slow.wait_for(["1s@own.test"], patience=5)
        assert answered_at - slow.stamps["1s@own.test"] > 0.4e9
        session.quit()
        wait_until(lambda: slow.connections() == 0, 5, "no connection")
        assert slow.connections_ever() >= 1


def test_what_never_comes_is_waited_for_only_so_long(sink: StampingSink) -> None:
    sink.wait_for(["nobody@own.test"], patience=0.2)
    assert tally(Crowd(1, "n"), sink.accepted()).lost == 1


def test_it_leaves_nothing_behind(tmp_path: Path) -> None:
    with StampingSink(tmp_path) as sink:
        folder = sink.folder
        assert folder.exists()
    assert not folder.exists()
    assert not any(child.running for child in sink.children)
