"""Ids and their 13-character names."""

import pytest

from mta.mail import ids


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (0, "0000000000000"),
        (31, "000000000000z"),
        (32, "0000000000010"),
        (2**63 - 1, "7zzzzzzzzzzzz"),
    ],
)
def test_names_are_fixed(number: int, name: str) -> None:
    assert ids.encode(number) == name
    assert ids.decode(name) == number


def test_reading_forgives_case_and_look_alikes() -> None:
    assert ids.decode("7ZZZZZZZZZZZZ") == 2**63 - 1
    assert ids.decode("oO00000000iIl") == ids.decode("0000000000111")


@pytest.mark.parametrize("number", [-1, 2**63])
def test_out_of_range_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match="out of range"):
        ids.encode(number)


@pytest.mark.parametrize(
    "name", ["", "0", "0" * 14, "u000000000000", "8000000000000", "-000000000001", "0 00000000000"]
)
def test_other_text_is_no_id(name: str) -> None:
    with pytest.raises(ValueError, match="not an id"):
        ids.decode(name)
