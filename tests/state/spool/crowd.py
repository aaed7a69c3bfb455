"""Many at once on one database, each with a connection of its own, as processes have."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from django.db import connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper

T = TypeVar("T")


class Crowd:
    """Runs functions in threads; `path` is SQLite's file, empty on PostgreSQL."""

    def __init__(self, path: Path | None) -> None:
        self.path = path

    def connect(self) -> BaseDatabaseWrapper:
        """A new connection of this thread to the shared database."""
        fresh = connections.create_connection("default")
        if self.path is not None:
            fresh.settings_dict = {**fresh.settings_dict, "NAME": str(self.path)}
        fresh.inc_thread_sharing()
        connections["default"] = fresh
        return fresh

    def run(self, works: Sequence[Callable[[], T]]) -> list[T]:
        """What each returned, in order; the first error is raised."""
        results: dict[int, T] = {}
        errors: list[BaseException] = []
        start = threading.Barrier(len(works))

        def one(number: int) -> None:
            fresh = self.connect()
            try:
                start.wait(20)
                results[number] = works[number]()
            except BaseException as error:
                errors.append(error)
            finally:
                fresh.close()

        threads = [threading.Thread(target=one, args=(number,)) for number in range(len(works))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        if errors:
            raise errors[0]
        return [results[number] for number in range(len(works))]


@contextmanager
def crowd(folder: Path) -> Iterator[Crowd]:
    """The test's database for many: SQLite's moves from memory to a file for as long."""
    if connection.vendor == "postgresql":
        yield Crowd(None)
        return
    path = folder / "crowd.sqlite3"
    connection.ensure_connection()
    with sqlite3.connect(path) as file:
        memory: Any = connection.connection
        memory.backup(file)
    file.close()
    before = connections["default"]
    gathered = Crowd(path)
    mine = gathered.connect()
    try:
        yield gathered
    finally:
        mine.close()
        connections["default"] = before
