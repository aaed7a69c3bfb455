"""The mail log: whole lines, and a full disk stops no mail."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import orjson
import pytest

from mta.observe import maillog


@pytest.fixture(autouse=True)
def closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maillog, "_state", {})


def test_lines_are_appended_for_all_who_share_the_file(tmp_path: Path) -> None:
    path = tmp_path / "log" / "mail.log"
    maillog.write([{"kind": "lost"}])
    for number in (1, 2):
        maillog.open_file(path)
        maillog.write([{"n": number}, {"n": number * 10}])
    assert [orjson.loads(line) for line in path.read_bytes().splitlines()] == [
        {"n": 1}, {"n": 10}, {"n": 2}, {"n": 20},
    ]  # fmt: skip
    assert path.stat().st_mode & 0o007 == 0


def test_a_full_disk_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    maillog.open_file(tmp_path / "mail.log")

    def full(file: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    maillog.write([{"n": 1}])
    maillog.write([{"n": 2}])
    assert [record.getMessage() for record in caplog.records] == [
        "mail log not written: No space left on device"
    ]
