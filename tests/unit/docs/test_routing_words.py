"""Routing rules and hooks: the pages say what the code says, and the example works."""

from __future__ import annotations

import importlib
import re
import sys
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import pytest

from mta.policy import hooks
from mta.policy.condition import MOST_CHARACTERS, compile_condition
from mta.policy.hooks import HOOKS, Answered, Changes, Injected, Reject, Told, Waiting
from mta.policy.routing import NAMES, OF_HOUR
from mta.policy.verdict import Verdict
from tests.unit.docs.pages import CODE, REFERENCE, ROOT, by_code

ROUTING = REFERENCE / "routing.md"
HOOKS_PAGE = REFERENCE / "hooks.md"
BOUNCED = Verdict("bounced", "bad_mailbox", True, "recipient", "suppress", "rfc")


def test_every_name_of_a_condition() -> None:
    text = ROUTING.read_text()
    table = by_code(ROUTING)
    for name, kind in NAMES.items():
        if name in OF_HOUR:
            assert f"| `{name}` " in text, name
        else:
            assert table[name][1] == kind, name
    told = set(re.findall(r"`((?:domain|provider|tenant|campaign)_\w+)`", text))
    assert told == set(OF_HOUR)
    assert f"{MOST_CHARACTERS:,} characters" in text


def test_every_condition_of_the_how_to_compiles() -> None:
    text = (ROOT / "docs" / "how-to" / "route-mail.md").read_text()
    cells = [row.split("|")[2] for row in text.splitlines() if row.count("|") == 4]
    conditions = [CODE.findall(cell)[0] for cell in cells[2:] if CODE.search(cell)]
    assert len(conditions) == 6
    for condition in [*conditions, "domain_bounce_rate > 0.05 and domain_attempts >= 20"]:
        compile_condition(condition)
        assert f"`{condition}`" in text


def test_every_hook_and_everything_that_it_sees() -> None:
    table = by_code(HOOKS_PAGE)
    assert set(HOOKS) <= set(table)
    for kind in (Injected, Waiting, Answered, Told):
        assert CODE.findall(table[kind.__name__][1]) == [field.name for field in fields(kind)]


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of the page, imported as an operator's."""
    (block,) = re.findall(r"^```python\n(.*?)^```", HOOKS_PAGE.read_text(), re.M | re.S)
    (tmp_path / "mill_policy.py").write_text(block)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mill_policy", raising=False)
    loaded = hooks.load("mill_policy")
    assert all(getattr(loaded, name) is not None for name in HOOKS)
    return importlib.import_module("mill_policy")


def message(**values: object) -> Injected:
    plain = {
        "tenant": "acme", "stream": "bulk", "origin": "smtp", "reverse_path": "", "subject": "",
        "recipients": ("a@x.test",), "campaign": "", "tags": ("t",), "metadata": {}, "size": 100,
    }  # fmt: skip
    return Injected(**(plain | values))  # type: ignore[arg-type]


def test_the_example(example: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert isinstance(example.inject(message(size=3_000_000)), Reject)
    assert example.inject(message()) == Changes(campaign="smtp", tags=["t", "unnamed"])
    assert example.inject(message(campaign="may")) is None
    waiting = Waiting("acme", "bulk", "bulk", "kunde.de", "mx.kunde.de", "", 3)
    assert example.choose_pool(waiting) == "europe"
    reply = Answered(
        "acme", "bulk", "partner.example", "mx", "", "s", "rcpt", 550, "5.1.1", "no", 0, BOUNCED
    )
    assert example.on_reply(reply).outcome == "deferred"
    example.on_event(Told(0.0, "bounce", "m", "r", {"to": "a@x.test"}))
    assert capsys.readouterr().out == "bounced: a@x.test\n"
