"""Every decision is in the index, and says what a decision has to say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.docs.pages import LINK, ROOT, anchors, name_of

FOLDER = ROOT / "docs" / "decisions"
DECISIONS = sorted(FOLDER.glob("[0-9]*.md"))


def test_the_index_lists_them_in_order() -> None:
    linked = LINK.findall((FOLDER / "README.md").read_text())
    assert linked == [page.name for page in DECISIONS]


def test_numbers_have_no_gap() -> None:
    assert [int(page.name[:4]) for page in DECISIONS] == list(range(1, len(DECISIONS) + 1))


@pytest.mark.parametrize("page", DECISIONS, ids=name_of)
def test_parts(page: Path) -> None:
    assert {"context", "decision", "figures", "rejected", "consequences"} <= anchors(page)
    assert page.read_text().startswith(f"# {page.name[:4]}. ")
