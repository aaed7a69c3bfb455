"""One supervisor per data folder, by a lock that the kernel drops with its holder."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType

from mta.supervise.refusal import StartRefused


class FolderLock:
    """Held as a context manager; StartRefused names the process that holds it already.

    `left_behind` tells that the last holder was killed: its processes may still be ending.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.left_behind = False

    def __enter__(self) -> FolderLock:
        self.folder.mkdir(parents=True, exist_ok=True)
        # The descriptor is not inheritable: a child that outlives us does not keep the lock.
        self.file = (self.folder / "up.lock").open("a+")
        self.file.seek(0)
        holder = self.file.read().strip()
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.file.close()
            raise StartRefused(
                f"Mailmill already runs on {self.folder} (process {holder or 'unknown'}): stop it, "
                "or give this one another folder in MAILMILL_DATA_DIR."
            ) from None
        self.left_behind = bool(holder)
        self.write(str(os.getpid()))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.write("")
        self.file.close()

    def write(self, text: str) -> None:
        self.file.truncate(0)
        self.file.write(text)
        self.file.flush()
