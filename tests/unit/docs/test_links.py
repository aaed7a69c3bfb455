"""Links between the pages resolve, named files exist, and nothing of the workshop is left."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.docs.pages import CODE, LINK, PAGES, ROOT, anchors, name_of, prose

#: Folders whose names in code marks are paths of this repository.
OURS = ("mta/", "tasks/", "dashboard/", "tests/", "docs/", "requirements/", "changelog.d/")
#: Package registries are the reader's choice.
REGISTRIES = re.compile(r"pypi\.org|pythonhosted\.org|npmjs\.(?:com|org)|crates\.io", re.IGNORECASE)
#: Where readers come in; every page under docs/ is reached from here.
START = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]


def local_links(page: Path) -> list[str]:
    found = LINK.findall(prose(page.read_text()))
    return [link for link in found if "://" not in link and not link.startswith("mailto:")]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_resolve(page: Path) -> None:
    broken = []
    for link in local_links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_named_files_exist(page: Path) -> None:
    named = [word for word in CODE.findall(prose(page.read_text())) if word.startswith(OURS)]
    assert [word for word in named if " " not in word and not list(ROOT.glob(word))] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_no_registry_is_named(page: Path) -> None:
    assert not REGISTRIES.search(page.read_text())


def test_every_page_is_reached() -> None:
    reached: set[Path] = set()
    waiting = [page.resolve() for page in START]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md" or not page.is_file():
            continue
        reached.add(page)
        waiting += [
            (page.parent / link.partition("#")[0]).resolve()
            for link in local_links(page)
            if not link.startswith("#")
        ]
    pages = set((ROOT / "docs").rglob("*.md"))
    assert sorted(map(name_of, pages - reached)) == []
