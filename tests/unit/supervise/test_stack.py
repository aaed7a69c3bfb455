"""The stack as data: every process is there, and is stopped in the order that saves claims."""

from __future__ import annotations

from pathlib import Path

import pytest

from mta.supervise.program import PATIENCE, Program, StopOrder
from mta.supervise.refusal import StartRefused
from mta.supervise.stack import Place, programs
from mta.supervise.supervisor import STOP_WITHIN

BINDS = {
    "MAILMILL_HTTP_BIND": ("127.0.0.1", 8000),
    "MAILMILL_RELAY_BIND": ("127.0.0.1", 2525),
    "MAILMILL_SUBMISSION_BIND": ("127.0.0.1", 2587),
    "MAILMILL_SMTPS_BIND": ("127.0.0.1", 2465),
    "MAILMILL_FLOWER_BIND": ("127.0.0.1", 5555),
}


def stack(data_dir: Path = Path("/data"), valkey: str = "/bin/valkey") -> dict[str, Program]:
    place = Place("python", "manage.py", data_dir, BINDS, valkey_binary=valkey)
    return {program.name: program for program in programs(place)}


def test_all_processes_of_the_stack() -> None:
    assert list(stack()) == [
        "valkey", "migrate", "web", "smtpd", "dispatch", "resolve", "sign", "deliver", "classify",
        "beat", "flower", "drain",
    ]  # fmt: skip


def test_an_outside_redis_replaces_the_embedded_one() -> None:
    assert "valkey" not in stack(valkey="")


def test_every_bind_is_a_door_of_somebody() -> None:
    assert {door.variable for one in stack().values() for door in one.doors} == set(BINDS)


def test_dispatch_stops_first_and_the_broker_last() -> None:
    running = [program for program in stack().values() if not program.once]
    order = [program.name for program in sorted(running, key=lambda one: one.stop_order)]
    assert order[0] == "dispatch"
    assert order[1:3] == ["web", "smtpd"]
    assert order[3:-4] == ["resolve", "sign", "deliver", "classify"]
    assert order[-4:] == ["beat", "flower", "drain", "valkey"]


def test_each_stop_order_has_its_time_before_the_end() -> None:
    assert set(PATIENCE) == set(StopOrder)
    assert sum(PATIENCE.values()) <= STOP_WITHIN < 10


def test_valkey_is_durable_and_reached_by_its_socket_alone() -> None:
    words = stack()["valkey"].argv
    options = dict(zip(words[1::2], words[2::2], strict=True))
    assert options["--port"] == "0"
    assert options["--unixsocket"] == "/data/valkey.sock"
    assert options["--appendonly"] == "yes"
    assert options["--appendfsync"] == "everysec"


def test_a_data_folder_too_deep_for_a_socket() -> None:
    deep = Path("/" + "d" * (107 - len("/valkey.sock") - 1))
    assert "valkey" in stack(deep)
    with pytest.raises(StartRefused, match=r"MAILMILL_DATA_DIR: .* MAILMILL_REDIS_URL"):
        stack(deep.with_name(deep.name + "d"))
