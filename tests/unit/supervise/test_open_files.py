"""How many connections fit into the files that a process may open."""

from __future__ import annotations

import resource

import pytest

from mta.supervise.open_files import RESERVE, WANTED, connections_that_fit, too_few


class Limit:
    """The kernel's pair of limits, soft and hard."""

    def __init__(self, soft: int, hard: int) -> None:
        self.now = (soft, hard)

    def get(self, _: int) -> tuple[int, int]:
        return self.now

    def set(self, _: int, pair: tuple[int, int]) -> None:
        assert pair[1] == self.now[1], "the hard limit is the operator's"
        self.now = pair


@pytest.mark.parametrize(
    ("soft", "hard", "fits"),
    [
        (1024, 1_048_576, 4000),
        (1024, 4000 + RESERVE, 4000),
        (1024, 4000 + RESERVE - 1, 3999),
        (1024, 1024, 1024 - RESERVE),
        (100, 100, 0),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, 4000),
    ],
)
def test_what_fits(soft: int, hard: int, fits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = Limit(soft, hard)
    monkeypatch.setattr(resource, "getrlimit", limit.get)
    monkeypatch.setattr(resource, "setrlimit", limit.set)
    assert connections_that_fit(4000) == fits


def test_the_largest_setting_fits_into_what_is_asked_for() -> None:
    assert WANTED - RESERVE > 60_000


def test_the_setting_and_the_fix_are_named() -> None:
    said = too_few(4000, 512)
    assert "MAILMILL_DELIVER_CONNECTIONS=4000" in said
    assert "LimitNOFILE" in said
