"""Writers of SQLite queue at a lock file: one at a time, and nobody keeps it."""

from __future__ import annotations

import fcntl
import threading
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from mta.storage import turn as subject
from mta.storage.turn import SUFFIX, turn


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The name of a database file of SQLite."""

    class Named:
        vendor = "sqlite"
        settings_dict: dict[str, Any] = {"NAME": str(tmp_path / "spool.sqlite3")}

    monkeypatch.setattr(subject, "connection", Named)
    return tmp_path / "spool.sqlite3"


def is_free(database: Path) -> bool:
    with Path(f"{database}{SUFFIX}").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def test_one_at_a_time_even_between_threads(database: Path) -> None:
    inside: list[int] = []
    most: list[int] = []

    def write(number: int) -> None:
        for _ in range(200):
            with turn():
                inside.append(number)
                most.append(len(inside))
                inside.remove(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 800
    assert max(most) == 1


def test_an_error_gives_the_turn_on(database: Path) -> None:
    def fail() -> None:
        with turn():
            assert not is_free(database)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert is_free(database)


@pytest.mark.django_db
def test_memory_and_postgresql_need_no_file() -> None:
    assert not Path(str(connection.settings_dict["NAME"])).is_absolute()
    with turn():
        assert subject.descriptor() is None
