"""The reference names every command, and no other."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
COMMANDS = ROOT / "mta" / "management" / "commands"
PAGE = (ROOT / "docs" / "reference" / "commands.md").read_text()


def test_every_command_has_its_section() -> None:
    commands = {path.stem for path in COMMANDS.glob("*.py")} - {"__init__"}
    assert set(re.findall(r"^### `([a-z_]+)", PAGE, re.MULTILINE)) == commands


def test_every_option_is_told() -> None:
    for path in COMMANDS.glob("*.py"):
        section = re.split(rf"^### `{path.stem}\b", PAGE, flags=re.MULTILINE)[-1]
        section = section.split("\n### ")[0]
        for option in re.findall(r'add_argument\(\s*"(--[a-z-]+)"', path.read_text()):
            if option != "--json":  # told once for all
                assert option in section, f"{path.stem}: {option} is not in the reference"
