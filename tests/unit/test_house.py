"""The house rules that a machine can check: sizes, words, and no hidden leftovers."""

from __future__ import annotations

import ast
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HARD_LIMIT = 500
#: Goal 40; a table in code may be a little longer.
FUNCTION_LIMIT = 45
FORBIDDEN_NAMES = {"utils", "helpers", "services", "manager"}


def tracked(*suffixes: str) -> list[Path]:
    done = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    paths = [ROOT / line for line in done.stdout.splitlines()]
    return [path for path in paths if path.suffix in suffixes and path.is_file()]


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def sources() -> list[Path]:
    return [path for path in tracked(".py") if "migrations" not in path.parts]


def test_there_is_something_to_check() -> None:
    assert len(sources()) > 200


@pytest.mark.parametrize("limit", [HARD_LIMIT])
def test_no_file_is_longer_than_the_hard_limit(limit: int) -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for path in sources()
        if (count := len(path.read_text().splitlines())) > limit
    }
    assert long == {}


def test_functions_of_the_product_stay_short() -> None:
    long = []
    for path in sources():
        if path.relative_to(ROOT).parts[0] not in {"mta", "tasks", "dashboard"}:
            continue
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                if length > FUNCTION_LIMIT:
                    long.append(f"{path.relative_to(ROOT)}:{node.name} {length}")
    assert long == []


def test_every_module_says_what_it_is() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in sources()
        if parsed(path).body and ast.get_docstring(parsed(path)) is None
    ]
    assert silent == []


def test_no_module_has_a_name_that_says_nothing() -> None:
    product = [p for p in sources() if p.relative_to(ROOT).parts[0] in {"mta", "tasks"}]
    vague = [str(path.relative_to(ROOT)) for path in product if path.stem in FORBIDDEN_NAMES]
    assert vague == []


def test_nothing_is_left_for_later() -> None:
    left = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in sources()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if left.search(line)
    ]
    assert found == []


def test_every_requirement_has_its_reason() -> None:
    for name in ("base.in", "dev.in", "accelerate.in"):
        for line in (ROOT / "requirements" / name).read_text().splitlines():
            if line and not line.startswith(("#", "-r")):
                assert re.search(r"\S\s+# \S", line), f"{name}: {line}"
