"""explain_reply: one reply for people, many for programs, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from django.core.management import CommandError

from mta.policy.rules import load_rules
from mta.policy.verdict import ACTIONS, BOUNCE_CLASSES, SCOPES
from tests.state.commands.run import answer, text

ROOT = Path(__file__).resolve().parents[3]
ODD = [
    b"", b" ", b"\x00\xff\xfe", b"\xf0\x9f\x98\x80", b"9" * 70_000, b"550", b"550-", b"550-a",
    b"999 5.1.1 what", b"000", b"-1", b"250 ok", b"\\n\\n\\n", b"550 a\\n450 b", b"%s%n{}", b"-",
    b"--help", b"550 5.1.1 \x1b[31m", "550 5.1.1 Benutzer unbekannt ü".encode("latin-1"),
]  # fmt: skip


def test_one_reply_for_people() -> None:
    said = text("explain_reply", "550 5.1.1 no such user")
    assert "bad_mailbox (the mailbox does not exist)" in said
    assert "yes: it bounces" in said


def test_the_object_has_the_five_fields() -> None:
    found = answer("explain_reply", "452 4.2.2 mailbox full")
    assert list(found) == ["class", "permanent", "scope", "action", "rule"]
    assert (found["class"], found["permanent"]) == ("quota", False)


def test_stage_and_provider_count() -> None:
    assert answer("explain_reply", "550 no such user")["permanent"] is True
    assert answer("explain_reply", "550 no such user", "--stage", "connect")["permanent"] is False
    rule = next(rule for rule in load_rules() if rule.providers)
    found = answer("explain_reply", rule.samples[0], "--provider", rule.providers[0],
                   *(["--stage", rule.stages[0]] if rule.stages else []))  # fmt: skip
    assert found["rule"] == rule.name


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--stage", "lunch"], "--stage: 'lunch' is no stage; give one of connect"),
        (["--provider", "nobody"], "--provider: 'nobody' is not known; give one of"),
    ],
)
def test_wrong_words_are_named(words: list[str], says: str) -> None:
    with pytest.raises(CommandError, match=says):
        text("explain_reply", "550 no", *words)


def start(*words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "manage.py", "explain_reply", "-", *words],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT), "MAILMILL_DATABASE_URL": ""},
    )  # fmt: skip


def test_a_process_answers_every_line_whatever_it_is() -> None:
    given = [b"550-5.1.1 no such user\\n550 5.1.1 here", b"550 5.1.1 no such user\r", *ODD]
    with start() as process:
        out, errors = process.communicate(b"\n".join(given), timeout=60)
    assert (process.returncode, errors) == (0, b"")
    found = [json.loads(line) for line in out.splitlines()]
    assert len(found) == len(given)
    assert found[0]["class"] == found[1]["class"] == "bad_mailbox"
    for one in found:
        assert one["class"] in {"", *BOUNCE_CLASSES}
        assert one["scope"] in SCOPES
        assert one["action"] in ACTIONS
        assert isinstance(one["permanent"], bool)


def test_a_process_answers_at_once_and_bears_a_closed_reader() -> None:
    with start("--stage", "rcpt") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        for line in (b"550 5.1.1 no such user\n", b"451 4.7.1 greylisted, try later\n"):
            process.stdin.write(line)
            process.stdin.flush()
            # Would wait for ever if answers came only at the end.
            assert json.loads(process.stdout.readline())["class"] in {"bad_mailbox", "greylisted"}
        process.stdout.close()
        with suppress(BrokenPipeError):  # it may end before it has read all
            process.stdin.write(b"550 no\n" * 20_000)
            process.stdin.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 0
