"""Calls a command as a person would, and reads what it prints."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.core.management import call_command


def text(*words: str) -> str:
    """What the command prints for people."""
    out = io.StringIO()
    call_command(*words, stdout=out)
    return out.getvalue()


def answer(*words: str) -> Any:
    """The one JSON object that it prints with --json."""
    return json.loads(text(*words, "--json"))


def failing(*words: str) -> tuple[int, str]:
    """Exit code and output of a command that ends the process."""
    out = io.StringIO()
    with pytest.raises(SystemExit) as left:
        call_command(*words, stdout=out)
    return int(str(left.value.code)), out.getvalue()
