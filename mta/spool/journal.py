"""The journal: what a worker knows and the database does not know yet, one line at a time.

Rule 1: a batch is in the journal from when a worker takes it until it is settled or handed on.
Rule 2: a reply is appended the moment it is read, before anything else is done with it.
Rule 3: a journal belongs to the process that holds its lock; an unlocked one is an orphan, and
        whoever locks it settles what it tells and returns the rest.
Lines are written without fsync: the kernel keeps them when the process is killed, which is what the
journal is for. Power failure loses at most the replies since the last commit: those are sent twice.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

log = logging.getLogger(__name__)
#: Bytes of closed batches after which the file is written anew with the open ones only.
ROTATE_BYTES = 8 * 2**20
#: An outcome as its custodian writes it: any JSON value.
Row = Any


@dataclass(slots=True)
class Entry:
    """An open batch: how its custodian describes it, and the replies read so far."""

    batch: dict[str, Any]
    replies: list[Row] = field(default_factory=list)
    #: time.monotonic() of when the next stage got it; infinite while it is worked on here.
    handed_on_at: float = float("inf")


class Journal:
    """The journal of this process; every method may be called from any thread."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.name = folder, name
        self.lock = threading.Lock()
        self.entries: dict[int, Entry] = {}
        self.file = -1
        self.size = self.rotate_at = 0
        self.path = Path()
        self.rotate()

    def opened(self, token: int, batch: dict[str, Any]) -> None:
        """The batch is in this process's hands; a second copy of it changes nothing."""
        self.opened_many({token: batch})

    def opened_many(self, batches: Mapping[int, dict[str, Any]]) -> None:
        """The same for several by token, in one write."""
        with self.lock:
            new = {token: Entry(b) for token, b in batches.items() if token not in self.entries}
            self.entries.update(new)
            self.append([{"t": token, "open": entry.batch} for token, entry in new.items()])

    def reply(self, token: int, reply: Row) -> None:
        """One recipient's outcome, as JSON values."""
        self.replies(token, [reply])

    def replies(self, token: int, replies: Sequence[Row]) -> None:
        """Outcomes of recipients of one batch that were read together, in one write."""
        # Outside the lock, which only has to keep the lines whole and the file in place.
        data = b"".join([b"\n" + orjson.dumps({"t": token, "reply": reply}) for reply in replies])
        with self.lock:
            entry = self.entries.get(token)
            if entry is not None:
                entry.replies.extend(replies)
                self.size += put(self.file, data)

    def handed_on(self, token: int, *, at: float | None = None) -> None:
        """The next stage has it; this process still vouches for its replies until it is settled."""
        self.handed_on_many([token], at=at)

    def handed_on_many(self, tokens: Iterable[int], *, at: float | None = None) -> None:
        """The same for several; `at` in time.monotonic(), now when None."""
        with self.lock:
            for token in tokens:
                entry = self.entries.get(token)
                if entry is not None:
                    entry.handed_on_at = time.monotonic() if at is None else at

    def closed(self, token: int) -> None:
        """Nothing more is known here that the database does not know."""
        self.closed_many([token])

    def closed_many(self, tokens: Iterable[int]) -> None:
        """The same for several, in one write."""
        with self.lock:
            gone = [token for token in tokens if self.entries.pop(token, None) is not None]
            self.append([{"t": token, "closed": 1} for token in gone])
            if self.size > self.rotate_at:
                self.rotate()

    def open_batches(self) -> dict[int, Entry]:
        with self.lock:
            return dict(self.entries)

    def close(self) -> None:
        """Give up the journal; an empty one is removed, another stays for recovery."""
        with self.lock:
            if not self.entries:
                self.path.unlink(missing_ok=True)
            os.close(self.file)
            self.file = -1

    def append(self, lines: Sequence[dict[str, Any]]) -> None:
        self.size += put(self.file, written(lines))

    def rotate(self) -> None:
        """Go on in a new file that holds the open batches; the old one is removed after.

        A full disk leaves the old file in use; the first one has to be written (OSError).
        """
        old_file, old_path = self.file, self.path
        path = self.folder / f"{self.name}.{os.getpid()}.{time.time_ns()}.journal"
        try:
            self.file, self.size = self.rewritten(path)
        except OSError as error:
            if old_file < 0:
                raise
            log.error("journal not rotated: %s", error.strerror)
            self.rotate_at = self.size + ROTATE_BYTES
            return
        self.path, self.rotate_at = path, self.size + ROTATE_BYTES
        if old_file >= 0:
            old_path.unlink(missing_ok=True)
            os.close(old_file)

    def rewritten(self, path: Path) -> tuple[int, int]:
        """A locked file at `path` with the open batches, and its size.

        It gets its name when it is whole and locked: nobody takes a young one for an orphan.
        """
        draft = path.with_suffix(".draft")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        file = os.open(draft, flags, 0o640)
        size = 0
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            for token, entry in self.entries.items():
                lines: list[dict[str, Any]] = [{"t": token, "open": entry.batch}]
                lines += [{"t": token, "reply": reply} for reply in entry.replies]
                size += put(file, written(lines))
            draft.rename(path)
        except OSError:
            draft.unlink(missing_ok=True)
            os.close(file)
            raise
        return file, size


def written(lines: Sequence[dict[str, Any]]) -> bytes:
    """Each line stands behind its line break: what a full disk tore off spoils no later one."""
    return b"".join([b"\n" + orjson.dumps(line) for line in lines])


def put(file: int, data: bytes) -> int:
    """Append whole lines in one write; returns their bytes. OSError when not all are taken."""
    if data and os.write(file, data) != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return len(data)


def read(lines: Iterator[bytes] | list[bytes]) -> dict[int, Entry]:
    """The open batches that the lines tell of; torn lines are ignored."""
    entries: dict[int, Entry] = {}
    for raw in lines:
        try:
            line = orjson.loads(raw)
        except orjson.JSONDecodeError:  # killed in the middle of a write, or a full disk
            continue
        token = line["t"]
        if "open" in line:
            entries[token] = Entry(line["open"])
        elif "reply" in line and token in entries:
            entries[token].replies.append(line["reply"])
        elif "closed" in line:
            entries.pop(token, None)
    return entries


def orphans(folder: Path) -> Iterator[dict[int, Entry]]:
    """The open batches of each journal whose process is gone; the caller removes those it dealt
    with. The file goes with the last: a failure (or another kill) leaves it for the next start."""
    for path in sorted(folder.glob("*.journal")) if folder.is_dir() else []:
        try:
            file = path.open("rb")
        except FileNotFoundError:  # another worker has just dealt with it
            continue
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            batches = read(list(file))
            yield batches
            if not batches:
                path.unlink(missing_ok=True)
