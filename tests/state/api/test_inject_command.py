"""manage.py inject: what sendmail's callers expect of it."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from mta.egress.provision import Provisioned, provision
from mta.mail.ids import decode
from mta.spool.bodies import unpack
from mta.spool.models import Body, Message, Recipient

TEXT = (
    b"From: Shop <news@shop.example>\n"
    b"To: Ann <ann@customer.example>,\n bob@customer.example\n"
    b"Bcc: cy@customer.example\n"
    b"Subject: Hello\n\nIt works.\n.\n"
)


@pytest.fixture
def file(tmp_path: Path, made: Provisioned) -> Path:
    path = tmp_path / "message.eml"
    path.write_bytes(TEXT)
    return path


def run(*arguments: object) -> dict[str, object]:
    out = io.StringIO()
    call_command("inject", *map(str, arguments), "--json", stdout=out)
    found: dict[str, object] = json.loads(out.getvalue())
    return found


def test_file_to_given_recipients(file: Path) -> None:
    answer = run("--from", "bounces@shop.example", "--to", "dan@customer.example", file)
    message = Message.objects.get(pk=decode(str(answer["id"])))
    assert answer["accepted"] == 1
    assert (message.reverse_path, message.origin) == ("bounces@shop.example", "command")
    assert Recipient.objects.get().address == "dan@customer.example"
    content = unpack(Body.objects.get())
    assert isinstance(content, bytes)
    assert b"Bcc" not in content
    assert b"\r\nDate: " in b"\r\n" + content
    assert f"Message-ID: <{answer['id']}@shop.example>\r\n".encode() in content
    assert content.endswith(b"It works.\r\n.\r\n")


def test_recipients_are_read_from_the_header(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(TEXT))
    monkeypatch.setattr(sys, "stdin", stdin)
    run("-t", "--to", "ann@customer.example", "--stream", "bulk", "-")
    addresses = sorted(Recipient.objects.values_list("address", flat=True))
    assert addresses == ["ann@customer.example", "bob@customer.example", "cy@customer.example"]
    assert Message.objects.get().reverse_path == "news@shop.example"
    assert Message.objects.get().stream.name == "bulk"


def test_null_reverse_path(file: Path) -> None:
    run("--from", "<>", "--to", "dan@customer.example", file)
    assert Message.objects.get().reverse_path == ""


@pytest.mark.parametrize(
    ("arguments", "says", "code"),
    [
        ([], "Nobody to send to", 1),
        (["--to", "nobody"], "--to: 'nobody' is no mail address", 1),
        (["--to", "a@b.example", "--stream", "x"], "--stream", 1),
        (["--to", "a@b.example", "--from", "x@stranger.example"], "stranger.example", 77),
        (["--to", "a@b.example", "--from", "x@nobody.example"], "nobody.example", 77),
    ],
)
def test_wrong_arguments_are_named(file: Path, arguments: list[str], says: str, code: int) -> None:
    provision("stranger", ["stranger.example"])
    with pytest.raises(CommandError, match=says) as caught:
        run(*arguments, file)
    assert caught.value.returncode == code
    assert not Message.objects.exists()


def test_unreadable_and_senderless_files(file: Path, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="readable file"):
        run("--to", "a@b.example", tmp_path / "missing")
    file.write_bytes(b"Subject: no sender\n\nHi\n")
    with pytest.raises(CommandError, match="From field"):
        run("--to", "a@b.example", file)
    file.write_bytes(b"From: a@shop.example\n\nNUL \0\n")
    with pytest.raises(CommandError, match="NUL"):
        run("--to", "a@b.example", file)
