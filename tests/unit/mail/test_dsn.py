"""Bounces, read back with the standard library."""

from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest

from mta.mail import wire
from mta.mail.dsn import MAX_HEAD, FailedRecipient, build, status_of

GONE = FailedRecipient(
    "c@d.org", "5.1.1", "550 5.1.1 no such user", "mx.d.org", "rfc822;C@d.org", 1_780_000_100.5
)
HEAD = b"From: a@b.org\r\nSubject: hello\r\n"


def made(**values: Any) -> bytes:
    given: dict[str, Any] = {
        "reporting_mta": "mx.example", "original_head": HEAD, "to": "a@b.org", "recipients": [GONE],
        "arrival_at": 1_780_000_000.9, "now": 1_780_000_200, "message_id": "id@mx.example",
        **values,
    }  # fmt: skip
    raw = build(**given)
    assert wire.check(raw) is None
    assert wire.longest_line(raw) <= 998
    return raw


def read(raw: bytes) -> tuple[EmailMessage, list[Any]]:
    message = message_from_bytes(raw, policy=policy.default)
    assert isinstance(message, EmailMessage)
    assert not any(part.defects for part in message.walk())
    return message, list(message.iter_parts())


def test_report() -> None:
    message, parts = read(made(envid="env-1"))
    assert message.get_content_type() == "multipart/report"
    assert message["Content-Type"].params["report-type"] == "delivery-status"
    assert (message["To"], message["Auto-Submitted"]) == ("a@b.org", "auto-replied")
    assert message["From"] == "Mail Delivery System <MAILER-DAEMON@mx.example>"
    assert message["Date"] == "Thu, 28 May 2026 20:30:00 +0000"
    assert [part.get_content_type() for part in parts] == [
        "text/plain", "message/delivery-status", "text/rfc822-headers",
    ]  # fmt: skip
    assert "mx.d.org said: 550 5.1.1 no such user" in parts[0].get_content()
    whole, recipient = parts[1].get_payload()
    assert whole.items() == [
        ("Original-Envelope-Id", "env-1"),
        ("Reporting-MTA", "dns; mx.example"),
        ("Arrival-Date", "Thu, 28 May 2026 20:26:40 +0000"),
    ]
    assert recipient.items() == [
        ("Original-Recipient", "rfc822;C@d.org"),
        ("Final-Recipient", "rfc822; c@d.org"),
        ("Action", "failed"),
        ("Status", "5.1.1"),
        ("Remote-MTA", "dns; mx.d.org"),
        ("Diagnostic-Code", "smtp; 550 5.1.1 no such user"),
        ("Last-Attempt-Date", "Thu, 28 May 2026 20:28:20 +0000"),
    ]
    assert parts[2].get_payload(decode=True) == HEAD


def test_several_recipients_each_have_a_group() -> None:
    expired = FailedRecipient("e@f.org", "4.4.7", "expired after 5 days")
    _, parts = read(made(recipients=[GONE, expired]))
    _, first, second = parts[1].get_payload()
    assert (first["Final-Recipient"], second["Final-Recipient"]) == (
        "rfc822; c@d.org", "rfc822; e@f.org",
    )  # fmt: skip
    assert "Remote-MTA" not in second
    assert "Last-Attempt-Date" not in second


def test_internationalised_recipients_are_written_in_ascii() -> None:
    raw = made(recipients=[FailedRecipient("zoë@d.org", "5.6.7", "käse")], to="zoë@b.org")
    _, parts = read(raw)
    status = parts[1].get_payload()[1]
    assert status["Final-Recipient"] == "utf-8; zo\\x{EB}@d.org"
    assert status["Diagnostic-Code"] == "smtp; k?se"
    assert "zoë@d.org" in parts[0].get_content()
    assert "To: zoë@b.org\r\n".encode() in raw


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\0"])
def test_nothing_a_peer_says_makes_fields_or_parts(end: str) -> None:
    hostile = FailedRecipient(
        f"c@d.org{end}X: 1", "5.0.0", f"550 x{end}{end}Action: delivered{end}" + "y" * 3000,
        f"mx{end}Evil: 1", f"rfc822;x{end}Evil: 2",
    )  # fmt: skip
    _, parts = read(made(recipients=[hostile], envid=f"e{end}Evil: 3"))
    assert len(parts) == 3
    whole, recipient = parts[1].get_payload()
    assert "Evil" not in [*whole.keys(), *recipient.keys()]
    assert recipient.get_all("Action") == ["failed"]


def test_long_diagnostics_are_folded() -> None:
    raw = made(recipients=[FailedRecipient("c@d.org", "5.0.0", "550 " + "word " * 190)])
    _, parts = read(raw)
    assert str(parts[1].get_payload()[1]["Diagnostic-Code"]).endswith("word word")


@pytest.mark.parametrize(
    "head",
    [b"", "Subject: é\r\n".encode(), b"A: \xff\r\nB: " + b"x" * 2000 + b"\r\n", b"A: 1\nB: 2"],
)
def test_any_header_section_goes_back_whole(head: bytes) -> None:
    _, parts = read(made(original_head=head))
    assert parts[2].get_payload(decode=True) == wire.to_wire(head)


def test_long_header_sections_are_cut_at_a_line() -> None:
    _, parts = read(made(original_head=b"X-A: 1234567\r\n" * 10_000))
    returned = parts[2].get_payload(decode=True)
    assert len(returned) <= MAX_HEAD
    assert returned.endswith(b"X-A: 1234567\r\n")


@pytest.mark.parametrize(
    "values", [{"to": ""}, {"recipients": []}, {"to": "a@b.org\r\nBcc: x@y.z"}]
)
def test_impossible_notifications_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        made(**values)


@pytest.mark.parametrize(
    ("code", "enhanced", "status"),
    [(550, "5.7.1", "5.7.1"), (550, "", "5.0.0"), (451, "", "4.0.0"), (0, "", "5.0.0")],
)
def test_status(code: int, enhanced: str, status: str) -> None:
    assert status_of(code, enhanced) == status
