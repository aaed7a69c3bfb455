"""The floors in CONTRIBUTING and in the architecture page are the import contract."""

from __future__ import annotations

import re
import tomllib

from tests.unit.docs.pages import CODE, ROOT, rows

CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
LAYERS = next(c["layers"] for c in CONTRACTS["contracts"] if c["type"] == "layers")
FLOORS = [set(layer.split(" | ")) for layer in LAYERS]


def test_contributing() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    lines = re.findall(r"^ ?\d+  (.+)$", text, re.MULTILINE)
    assert [set(line.split(" | ")) for line in lines] == FLOORS


def test_architecture() -> None:
    page = ROOT / "docs/explanation/architecture.md"
    found = [set(CODE.findall(cells[1])) for cells in rows(page) if cells[0].isdigit()]
    assert found == FLOORS


def test_forbidden_imports_are_told() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    for contract in CONTRACTS["contracts"]:
        for module in contract.get("source_modules", []):
            if module != "mta":
                assert f"`{module}`" in text
