"""Commands that the pages tell people to type exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.unit.docs.pages import CODE, FENCE, PAGES, ROOT, name_of

TARGET = re.compile(r"^([a-z][a-z-]*):", re.MULTILINE)
MADE = re.compile(r"\$\(VENV\)/(\w+\.stamp):")
MANAGE = re.compile(r"manage\.py ([a-z_]+)")
OWN = {path.stem for path in (ROOT / "mta/management/commands").glob("[a-z]*.py")}
DJANGO = {"migrate", "makemigrations", "createsuperuser", "check", "shell"}


def targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text()
    return set(TARGET.findall(makefile)) | {f".venv/{name}" for name in MADE.findall(makefile)}


def code_of(page: Path) -> str:
    """Everything in a page that a reader may type."""
    text = page.read_text()
    blocks = FENCE.findall(text)
    return "\n".join([*blocks, *CODE.findall(FENCE.sub("", text))])


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_make_targets(page: Path) -> None:
    asked = set()
    for line in code_of(page).splitlines():
        _, found, rest = line.partition("make ")
        before = line[: len(line) - len(rest) - len(found)].split()
        if found and all("=" in word for word in before):
            words = [word for word in rest.split() if "=" not in word]
            asked |= {words[0]} if words else set()
    assert asked <= targets()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_manage_commands(page: Path) -> None:
    assert set(MANAGE.findall(code_of(page))) <= OWN | DJANGO


def test_the_readme_names_both_commands() -> None:
    said = code_of(ROOT / "README.md")
    assert "make demo" in said
    assert "make test" in said


def test_shell_blocks_are_well_quoted() -> None:
    for page in PAGES:
        for block in re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
            without_here = re.sub(r"<<'END'.*?^END$", "", block, flags=re.MULTILINE | re.DOTALL)
            assert shlex.split(without_here, comments=True), name_of(page)
