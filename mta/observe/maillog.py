"""The mail log: one JSON line per thing that happened to a recipient.

Lines go to the file that the process opened with `open_file`, by one write a batch; a process that
opened none logs nothing (tests, commands). A full disk must not stop the mail: it is reported once.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson

log = logging.getLogger(__name__)
_state: dict[str, int] = {}


def open_file(path: Path) -> None:
    """Append to this file from now on; several processes may share it (O_APPEND)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _state["file"] = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)


def write(lines: Iterable[Mapping[str, Any]]) -> None:
    """Append the lines."""
    if "file" in _state:
        append(b"".join(orjson.dumps(line) + b"\n" for line in lines))


def append(text: bytes) -> None:
    """Append lines that are JSON already, each with its line feed."""
    file = _state.get("file")
    if file is None:
        return
    try:
        os.write(file, text)
    except OSError as error:
        if "broken" not in _state:
            _state["broken"] = 1
            log.error("mail log not written: %s", error.strerror)
