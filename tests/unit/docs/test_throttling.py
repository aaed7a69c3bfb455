"""The page about throttling: its pictures are those of the simulation, its table of kinds whole."""

from __future__ import annotations

import pytest

from mta.policy.throttle_changes import KINDS
from tests.simulation.picture import FOLDER, PICTURES
from tests.unit.docs.pages import by_code

PAGE = FOLDER / "adaptive-throttling.md"


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_those_of_the_simulation(name: str) -> None:
    assert (FOLDER / name).read_text() == PICTURES[name](), "python -m tests.simulation pictures"
    assert f"]({name})" in PAGE.read_text()


def test_every_kind_of_change_is_told() -> None:
    told = by_code(PAGE)
    for kind, meaning in KINDS.items():
        assert told[kind][1].startswith(meaning), kind
