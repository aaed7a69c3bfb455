"""The pages of the documentation as values: their tables, links, anchors and code words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
REFERENCE = ROOT / "docs" / "reference"
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "changelog.d").glob("*.md"),
    ]
)
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
#: A bar between cells; one that is escaped belongs to its cell.
BAR = re.compile(r"(?<!\\)\|")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(text: str) -> str:
    """The page without its fenced code."""
    return FENCE.sub("", text)


def anchors(page: Path) -> set[str]:
    """The anchors that its headings have."""
    return {anchor(heading) for heading in HEADING.findall(prose(page.read_text()))}


def anchor(heading: str) -> str:
    """As code hosts write it: lower case, words joined by hyphens, no punctuation."""
    plain = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return plain.replace(" ", "-")


def rows(page: Path) -> Iterator[list[str]]:
    """The body rows of all tables of a page, as their cells; code marks stay."""
    lines = page.read_text().splitlines()
    for number, line in enumerate(lines):
        below = lines[number + 1] if number + 1 < len(lines) else ""
        heads = below.startswith("|") and set(below) <= set("|- ")
        if line.startswith("|") and not heads and not set(line) <= set("|- "):
            yield [cell.strip().replace("\\|", "|") for cell in BAR.split(line)[1:-1]]


def by_code(page: Path) -> dict[str, list[str]]:
    """Rows of a page by the code word in their first cell."""
    found = {}
    for cells in rows(page):
        words = CODE.fullmatch(cells[0])
        if words:
            found[words[1]] = cells
    return found
