"""Every setting is in its page with its true default, and the page names no other."""

from __future__ import annotations

import re
from pathlib import Path

from mta.settings.config import load
from mta.settings.env import Env
from mta.settings.profiles import PROFILES
from tests.unit.docs.pages import CODE, FENCE, PAGES, REFERENCE, by_code

SETTINGS = by_code(REFERENCE / "settings.md")
#: Read by tests, not by Mailmill.
TOOLS = {"MAILMILL_TEST_BACKEND"}
SETTING = re.compile(r"MAILMILL_\w")
#: Told in words: it differs from host to host.
OWN_DEFAULT = {"MAILMILL_HOSTNAME"}


class Recorder(Env):
    """Remembers which variables are read, and what stands for an empty one."""

    def __init__(self, environ: dict[str, str]) -> None:
        super().__init__(environ)
        self.defaults: dict[str, str] = {}

    def text(self, name: str, default: str = "") -> str:
        self.defaults[f"MAILMILL_{name}"] = default
        return super().text(name, default)


def defaults(folder: Path) -> dict[str, str]:
    recorder = Recorder({"MAILMILL_DATA_DIR": str(folder)})
    load(recorder)
    return recorder.defaults


def test_every_setting_with_its_default(tmp_path: Path) -> None:
    read = defaults(tmp_path)
    told = {name for name in SETTINGS if name.startswith("MAILMILL_")} - TOOLS
    assert told == set(read)
    for name in told - OWN_DEFAULT:
        assert "".join(CODE.findall(SETTINGS[name][1])) == read[name], name


def test_every_setting_has_a_meaning() -> None:
    assert [name for name, cells in SETTINGS.items() if not cells[-1]] == []


def test_profiles() -> None:
    names = sorted({value for values in PROFILES.values() for value in values})
    for name in names:
        told = [CODE.findall(cell)[0] for cell in SETTINGS[name][1:]]
        assert told == [PROFILES["production"][name], PROFILES["demo"][name]]


def test_pages_name_only_settings_that_exist(tmp_path: Path) -> None:
    known = set(defaults(tmp_path)) | TOOLS
    known |= {f"{name}_FILE" for name in known}
    for page in PAGES:
        text = page.read_text()
        words = [*CODE.findall(FENCE.sub("", text)), *"".join(FENCE.findall(text)).split()]
        said = {word.partition("=")[0] for word in words if SETTING.match(word)}
        assert said <= known, page
