"""The pins follow from the .in files, agree with each other and name no place to fetch from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[3] / "requirements"
PIN = re.compile(r"^([a-z0-9.-]+)==(\S+)( +# via .+)?$")


def pins(name: str) -> dict[str, str]:
    lines = (FOLDER / name).read_text().splitlines()
    found = [PIN.match(line) for line in lines if line and not line.startswith("#")]
    assert all(found), f"a line of {name} is no pin"
    return {match[1]: match[2] for match in found if match}


def wanted(name: str) -> list[str]:
    """Names in an .in file, as the pins write them."""
    lines = (FOLDER / name).read_text().splitlines()
    names = [re.match(r"[A-Za-z0-9._-]+", line) for line in lines if not line.startswith("-")]
    return [re.sub(r"[._]", "-", match[0]).lower() for match in names if match]


@pytest.mark.parametrize("name", ["base", "dev", "accelerate"])
def test_every_requirement_has_a_reason_and_a_pin(name: str) -> None:
    source = (FOLDER / f"{name}.in").read_text().splitlines()
    for line in source:
        assert line.startswith(("#", "-r ")) or re.search(r" # \S+", line), line
    assert set(wanted(f"{name}.in")) <= set(pins(f"{name}.txt"))


def test_development_runs_on_the_pins_of_production() -> None:
    base, dev = pins("base.txt"), pins("dev.txt")
    assert base.items() <= dev.items()
    assert len(dev) > len(base)


@pytest.mark.parametrize("name", ["base.txt", "dev.txt", "accelerate.txt"])
def test_no_place_to_fetch_from_is_named(name: str) -> None:
    text = (FOLDER / name).read_text()
    assert not re.search(r"https?:|file://|^--|index-url|find-links|@ ", text, re.MULTILINE)
