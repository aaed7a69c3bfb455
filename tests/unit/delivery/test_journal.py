"""The journal: what a killed worker knew is read again, once, by one successor."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from mta.spool import journal
from mta.spool.journal import Entry, Journal, orphans, read


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def abandoned(mine: Journal) -> None:
    """What the kernel does for a process that is killed: its lock goes."""
    os.close(mine.file)


def test_what_was_open_is_found_and_what_was_closed_is_not(tmp_path: Path) -> None:
    mine = Journal(tmp_path, "deliver")
    mine.opened(1, {"token": 1})
    mine.opened(2, {"token": 2})
    mine.reply(1, [10, "dot"])
    mine.reply(1, [11, "dot"])
    mine.closed(2)
    mine.closed(3)
    mine.reply(9, [1])
    abandoned(mine)
    (found,) = orphans(tmp_path)
    assert found == {1: Entry({"token": 1}, [[10, "dot"], [11, "dot"]])}
    assert mine.path.exists(), "nobody has dealt with it"
    for batches in orphans(tmp_path):
        batches.clear()
    assert list(tmp_path.iterdir()) == []


def test_a_second_copy_of_a_batch_does_not_forget_the_replies(tmp_path: Path) -> None:
    mine = Journal(tmp_path, "deliver")
    for _ in range(2):
        mine.opened(1, {"token": 1})
        mine.reply(1, [10])
    assert mine.open_batches()[1].replies == [[10], [10]]
    assert read(lines(mine.path))[1].replies == [[10], [10]]


def test_what_comes_together_is_written_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = Journal(tmp_path, "deliver")
    write, writes = os.write, []

    def counted(file: int, data: bytes) -> int:
        writes.append(data)
        return write(file, data)

    monkeypatch.setattr(os, "write", counted)
    mine.opened_many({1: {"token": 1}, 2: {"token": 2}, 3: {}})
    mine.opened_many({2: {"another": "copy"}})
    mine.replies(1, [[10, "dot"], [11, "rcpt"]])
    mine.replies(9, [[1]])
    mine.handed_on_many([1, 2, 9], at=5.0)
    mine.closed_many([2, 3, 4])
    assert len(writes) == 3
    assert mine.open_batches()[1].handed_on_at == 5.0
    assert read(lines(mine.path)) == {1: Entry({"token": 1}, [[10, "dot"], [11, "rcpt"]])}


def test_a_living_journal_is_no_orphan(tmp_path: Path) -> None:
    mine = Journal(tmp_path, "deliver")
    mine.opened(1, {})
    assert list(orphans(tmp_path)) == []
    assert list(orphans(tmp_path / "missing")) == []


def test_a_journal_has_its_name_only_when_it_is_locked_and_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = Journal(tmp_path, "deliver")
    mine.opened(1, {})
    seen: list[list[str]] = []
    flock = fcntl.flock

    def watched(file: int, how: int) -> None:
        seen.append(sorted(path.suffix for path in tmp_path.iterdir()))
        flock(file, how)

    monkeypatch.setattr(fcntl, "flock", watched)
    mine.rotate()
    assert seen == [[".draft", ".journal"]]
    assert [path.suffix for path in tmp_path.iterdir()] == [".journal"]


def test_torn_lines_spoil_no_others(tmp_path: Path) -> None:
    mine = Journal(tmp_path, "deliver")
    mine.opened(1, {"token": 1})
    os.write(mine.file, b'\n{"t":1,"reply":[7,"to')
    mine.reply(1, [8])
    os.write(mine.file, b'\n{"t":1,"clo')
    assert read(lines(mine.path)) == {1: Entry({"token": 1}, [[8]])}


def test_rotation_keeps_what_is_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "ROTATE_BYTES", 500)
    mine = Journal(tmp_path, "deliver")
    mine.opened(0, {"kept": 1})
    mine.reply(0, [5])
    paths = {mine.path}
    for token in range(1, 60):
        mine.opened(token, {"x": "y" * 20})
        mine.closed(token)
        paths.add(mine.path)
    assert 2 < len(paths) < 15
    assert list(tmp_path.iterdir()) == [mine.path]
    assert mine.path.stat().st_size < 1200
    assert read(lines(mine.path)) == {0: Entry({"kept": 1}, [[5]])}
    assert list(orphans(tmp_path)) == []


def test_much_that_is_open_is_not_written_again_at_every_close(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "ROTATE_BYTES", 1000)
    mine = Journal(tmp_path, "deliver")
    for token in range(100):
        mine.opened(token, {"x": "y" * 90})
    paths = set()
    for token in range(100, 140):
        mine.opened(token, {})
        mine.closed(token)
        paths.add(mine.path)
    assert len(paths) <= 4


def test_a_full_disk_stops_no_rotation_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "ROTATE_BYTES", 10)
    mine = Journal(tmp_path, "deliver")
    mine.opened(1, {"token": 1})
    mine.opened(2, {})
    before, put = mine.path, journal.put

    def full(file: int, data: bytes) -> int:
        if file != mine.file:
            raise OSError(errno.ENOSPC, "No space left on device")
        return put(file, data)

    monkeypatch.setattr(journal, "put", full)
    mine.closed(2)
    mine.reply(1, [4])
    assert mine.path == before
    assert list(tmp_path.iterdir()) == [before]
    assert read(lines(before)) == {1: Entry({"token": 1}, [[4]])}


def test_a_reply_that_cannot_be_written_is_still_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = Journal(tmp_path, "deliver")
    mine.opened(1, {})
    monkeypatch.setattr(os, "write", lambda file, data: len(data) - 1)
    with pytest.raises(OSError, match="No space left"):
        mine.reply(1, [4])
    assert mine.open_batches()[1].replies == [[4]]


def test_a_journal_that_cannot_be_begun_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        Journal(tmp_path / "file", "deliver")


def test_closing_leaves_only_what_is_open(tmp_path: Path) -> None:
    empty, full = Journal(tmp_path, "sign"), Journal(tmp_path, "deliver")
    full.opened(1, {})
    empty.close()
    full.close()
    assert list(tmp_path.iterdir()) == [full.path]


def test_handing_on_is_remembered(tmp_path: Path) -> None:
    mine = Journal(tmp_path, "deliver")
    mine.opened(1, {})
    assert mine.open_batches()[1].handed_on_at == float("inf")
    mine.handed_on(1)
    assert 0 < mine.open_batches()[1].handed_on_at < float("inf")
    mine.handed_on(1, at=5.0)
    mine.handed_on(2)
    assert mine.open_batches()[1].handed_on_at == 5.0
