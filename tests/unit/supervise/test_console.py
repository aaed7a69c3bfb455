"""One prefix per process; a terminal that does not read never holds the supervisor up."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from mta.supervise.console import KEPT, Console, wants_colour


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    yield read, write
    for end in (read, write):
        try:
            os.close(end)
        except OSError:
            continue  # the test closed it


def test_every_line_carries_the_name_of_its_process(pipe: tuple[int, int]) -> None:
    read, write = pipe
    console = Console(write, ["web", "dispatch"], colour=False)
    console.line("web", b"hello")
    console.line("dispatch", b"claimed 3")
    console.say("first\nsecond")
    console.flush()
    assert os.read(read, 4096).decode().splitlines() == [
        "web      | hello",
        "dispatch | claimed 3",
        "mailmill | first",
        "mailmill | second",
    ]


def test_each_process_has_a_colour_of_its_own(pipe: tuple[int, int]) -> None:
    read, write = pipe
    console = Console(write, ["web", "sign"], colour=True)
    console.line("web", b"a")
    console.line("sign", b"b")
    console.flush()
    first, second = os.read(read, 4096).splitlines()
    assert first.startswith(b"\x1b[")
    assert first.split(b"m")[0] != second.split(b"m")[0]
    assert first.endswith(b"\x1b[0m a")


@pytest.mark.parametrize(
    ("is_terminal", "environment", "colour"),
    [
        (True, {}, True),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),  # no-color.org: only when not empty
        (True, {"TERM": "dumb"}, False),
        (False, {}, False),
    ],
)
def test_colour(is_terminal: bool, environment: dict[str, str], colour: bool) -> None:
    assert wants_colour(is_terminal, environment) is colour


def test_a_full_pipe_does_not_block_and_loses_only_what_exceeds_the_bound(
    pipe: tuple[int, int],
) -> None:
    read, write = pipe
    console = Console(write, ["web"], colour=False)
    line = b"x" * 990
    for _ in range(3 * KEPT // 1000):
        console.line("web", line)
        console.flush()  # would hang here for ever
    assert console.left_out > 0
    shown = bytearray()
    console.line("web", b"not shown")
    while console.waiting:
        shown += os.read(read, 65536)
        console.flush()
    console.line("web", b"shown again")
    console.flush()
    while not shown.endswith(b"shown again\n"):
        shown += os.read(read, 65536)
    lines = shown.decode().splitlines()
    assert "lines left out" in lines[-2]
    assert not any("not shown" in one for one in lines)
    assert all(one.startswith(("web      | x", "mailmill |", "web      | shown")) for one in lines)


def test_a_terminal_that_went_away_is_no_error(pipe: tuple[int, int]) -> None:
    read, write = pipe
    os.close(read)
    console = Console(write, ["web"], colour=False)
    console.line("web", b"hello")
    console.flush()
    assert not console.waiting
    console.line("web", b"again")
    console.close()
    assert not console.waiting
