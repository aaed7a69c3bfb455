"""Two supervisors never share a data folder; a killed one does not lock it for ever."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mta.supervise.folder_lock import FolderLock
from mta.supervise.refusal import StartRefused


def test_the_second_is_told_who_holds_the_folder(tmp_path: Path) -> None:
    with FolderLock(tmp_path), pytest.raises(StartRefused) as caught:
        FolderLock(tmp_path).__enter__()
    assert f"(process {os.getpid()})" in str(caught.value)
    assert "MAILMILL_DATA_DIR" in str(caught.value)


def test_a_stop_leaves_nothing_behind(tmp_path: Path) -> None:
    with FolderLock(tmp_path / "new" / "folder"):
        assert (tmp_path / "new/folder/up.lock").read_text() == str(os.getpid())
    with FolderLock(tmp_path / "new" / "folder") as again:
        assert not again.left_behind


def test_a_killed_holder_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "up.lock").write_text("4242")
    with FolderLock(tmp_path) as lock:
        assert lock.left_behind
