"""One thing that check_setup looked at."""

from __future__ import annotations

from dataclasses import dataclass

OK, WARN, FAIL = "ok", "warn", "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """`state` is ok, warn or fail; `fix` is empty when all is well."""

    check: str
    state: str
    said: str
    fix: str = ""


def fine(check: str, said: str) -> Finding:
    return Finding(check, OK, said)


def doubtful(check: str, said: str, fix: str) -> Finding:
    return Finding(check, WARN, said, fix)


def failed(check: str, said: str, fix: str) -> Finding:
    return Finding(check, FAIL, said, fix)
