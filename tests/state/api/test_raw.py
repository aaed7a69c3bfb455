"""Raw messages: completed, made safe for the wire, otherwise left as they are."""

from __future__ import annotations

import base64

import pytest

from mta.spool.bodies import unpack
from mta.spool.models import Body, Message
from tests.state.api.program import Program

HEAD = "From: Shop <news@shop.example>\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\nX-Odd:   kept \n"


def content() -> bytes:
    found = unpack(Body.objects.get())
    assert isinstance(found, bytes)
    return found


def raw(text: str) -> dict[str, object]:
    return {"recipients": [{"to": "ann@customer.example"}], "raw": text}


def test_date_and_message_id_are_added_and_bcc_goes(program: Program) -> None:
    answer = program.json("POST", "messages", raw(HEAD + "Bcc: x@y.example\n\nHi\n"), expect=202)
    stored = content()
    assert b"Bcc" not in stored
    assert b"Date: " in stored
    assert f"Message-ID: <{answer['id']}@shop.example>".encode() in stored
    # Byte for byte, but for the line ends.
    assert HEAD.replace("\n", "\r\n").encode() + b"\r\nHi\r\n" in stored
    assert Message.objects.get().reverse_path == "news@shop.example"
    assert Message.objects.get().subject == "Grüße"


def test_base64_carries_any_octets_and_8_bit_becomes_7(program: Program) -> None:
    data = HEAD.encode() + b"Content-Type: text/plain; charset=iso-8859-1\n\nGr\xfc\xdfe\n"
    body = {
        "recipients": [{"to": "ann@customer.example"}],
        "raw_base64": base64.b64encode(data).decode(),
    }
    program.call("POST", "messages", body, expect=202)
    assert content().isascii()
    assert b"Gr=FC=DFe" in content()


def test_long_lines_are_made_safe(program: Program) -> None:
    program.call("POST", "messages", raw(HEAD + "\n" + "x" * 5000 + "\n"), expect=202)
    assert max(map(len, content().split(b"\r\n"))) <= 998


@pytest.mark.parametrize(
    "subject", ["=?nosuch?q?a?=", "=?utf-8?q?=00?=", "=?utf-8?b?a?=", "=?utf-8?q?=ff?="]
)
def test_a_subject_that_cannot_be_read_stops_nothing(program: Program, subject: str) -> None:
    text = f"From: news@shop.example\nSubject: {subject}\n\nHi\n"
    program.call("POST", "messages", raw(text), expect=202)
    assert f"Subject: {subject}\r\n".encode() in content()


def test_what_cannot_be_sent_names_the_field(program: Program) -> None:
    refused = {
        "no From": "Subject: x\n\nHi\n",
        "two From": "From: a@shop.example\nFrom: b@shop.example\n\nHi\n",
        "a loop": "Received: x\n" * 101 + "From: a@shop.example\n\nHi\n",
    }
    for text in refused.values():
        problem = program.json("POST", "messages", raw(text), expect=422)
        assert problem["errors"][0]["field"] == "raw"
    nul = base64.b64encode(b"From: a@shop.example\n\n\0\n").decode()
    body = {"recipients": [{"to": "a@b.example"}], "raw_base64": nul}
    assert program.json("POST", "messages", body, expect=422)["errors"][0]["field"] == "raw_base64"
    with_values = raw(HEAD + "\nHi\n")
    with_values["recipients"] = [{"to": "a@b.example", "substitutions": {"a": 1}}]
    problem = program.json("POST", "messages", with_values, expect=422)
    assert problem["errors"][0]["field"] == "recipients[0].substitutions"
