"""The benchmarks' own receiver: its names and its conversation."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

import dns.message
import dns.rdatatype
import pytest

from tests.bench.receiver import Host, address_of, answer


def ask(name: str, kind: str) -> dns.message.Message:
    query = dns.message.make_query(name, kind)
    response = dns.message.from_wire(answer(query.to_wire()))
    assert response.id == query.id
    assert response.question == query.question
    return response


@pytest.mark.parametrize(
    ("domain", "exchanger"),
    [
        ("d7.tail.test", "mx.d7.tail.test."),
        ("D7.Tail.test", "mx.D7.Tail.test."),
        ("d7.shared.test", "mx.shared.test."),
    ],
)
def test_each_domain_has_one_mail_host(domain: str, exchanger: str) -> None:
    (rrset,) = ask(domain, "MX").answer
    (record,) = rrset
    assert record.to_text() == f"10 {exchanger}"


def test_mail_hosts_are_scattered_over_the_loopback_network() -> None:
    found = {ask(f"mx.d{n}.tail.test", "A").answer[0][0].to_text() for n in range(300)}
    assert len(found) > 290
    assert all(ipaddress.ip_address(one) in ipaddress.ip_network("127.64.0.0/10") for one in found)
    assert len(address_of(b"mx.any.test")) == 4


@pytest.mark.parametrize(
    ("name", "kind"), [("mx.d7.tail.test", "AAAA"), ("mx.d7.tail.test", "MX"), ("d7.test", "A")]
)
def test_what_it_has_not_is_a_whole_answer_of_nothing(name: str, kind: str) -> None:
    response = ask(name, kind)
    assert not response.answer
    (rrset,) = response.authority
    assert rrset.rdtype == dns.rdatatype.SOA


class Wire:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.said = b""

    def write(self, data: bytes) -> None:
        self.said += data

    def is_closing(self) -> bool:
        return False


class Ledger:
    """Books that keep recipients."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []

    def took(self, recipients: list[bytes]) -> None:
        self.taken += recipients

    def count(self, change: int) -> None:
        pass


def conversation(parts: Iterable[bytes]) -> tuple[bytes, list[bytes]]:
    """What is answered to these writes, and who got mail."""
    wire, books = Wire(), Ledger()
    host = Host(books, delay=0.0)  # type: ignore[arg-type]  # hand-written books
    host.connection_made(wire)  # type: ignore[arg-type]  # a hand-written transport
    for part in parts:
        host.data_received(part)
    return wire.said, books.taken


TALK = (
    b"EHLO me\r\nMAIL FROM:<a@b>\r\nRCPT TO:<1@d>\r\nRCPT TO:<2@d>\r\nDATA\r\n"
    b"Subject: x\r\n\r\n..a dot\r\n.\r\nMAIL FROM:<a@b>\r\nRCPT TO:<3@d>\r\nDATA\r\n\r\n.\r\n"
)


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_the_conversation_is_the_same_however_it_is_cut(size: int) -> None:
    said, taken = conversation(TALK[at : at + size] for at in range(0, len(TALK), size))
    assert taken == [b"1@d", b"2@d", b"3@d"]
    assert said.count(b"250 2.0.0 Ok\r\n") == 2
    assert said.count(b"354 ") == 2
    assert b"500" not in said
