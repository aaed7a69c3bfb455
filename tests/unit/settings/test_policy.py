"""MAILMILL_POLICY at the start of a process: a module that does not fit refuses it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.unit.docs.pages import ROOT


def started(folder: Path, module: str) -> subprocess.CompletedProcess[str]:
    """A process that only starts."""
    environment = {
        **os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}", "MAILMILL_POLICY": module,
        "DJANGO_SETTINGS_MODULE": "mta.settings",
    }  # fmt: skip
    code = "import django; django.setup(); from mta import wiring; print(wiring.hooks().module)"
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False,
        timeout=60,
    )  # fmt: skip


def test_a_module_that_fits(tmp_path: Path) -> None:
    text = "from mta.spool.models import Message\ndef inject(message): return None\n"
    (tmp_path / "policy_that_fits.py").write_text(text)
    found = started(tmp_path, "policy_that_fits")
    assert (found.returncode, found.stdout) == (0, "policy_that_fits\n"), found.stderr


def test_a_module_that_does_not_fit(tmp_path: Path) -> None:
    (tmp_path / "policy_that_does_not.py").write_text("def on_event(kind, at): pass\n")
    found = started(tmp_path, "policy_that_does_not")
    assert found.returncode != 0
    assert found.stderr.splitlines()[-1] == (
        "django.core.exceptions.ImproperlyConfigured: MAILMILL_POLICY: "
        "policy_that_does_not.on_event(kind, at) must take exactly one positional argument."
    )
