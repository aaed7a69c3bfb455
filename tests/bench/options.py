"""What a run measures, from the environment of `make bench`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

BENCHES = ("campaign", "relay")
BACKENDS = ("sqlite", "postgresql")
ROOT = Path(__file__).resolve().parents[2]
#: The last JSON line of each bench and backend; the documentation is written from them.
RESULTS = ROOT / "var" / "bench"


@dataclass(frozen=True, slots=True)
class Options:
    benches: tuple[str, ...]
    backends: tuple[str, ...]
    #: Messages of a measurement, and of the peer's.
    count: int
    peer_count: int
    #: Messages before the clock starts: connections are open, caches are filled.
    warmup: int = 1000
    #: Seconds to wait for a machine on which nothing else runs.
    quiet: int = 0


def read(environment: Mapping[str, str] = os.environ) -> Options:
    """BENCH, BACKEND, N, PEER_N, QUIET; SystemExit names the variable that does not fit."""
    count = number(environment, "N", 20_000)
    return Options(
        benches=choice(environment, "BENCH", BENCHES),
        backends=choice(environment, "BACKEND", BACKENDS, "sqlite"),
        count=count,
        peer_count=number(environment, "PEER_N", min(count, 5000)),
        quiet=number(environment, "QUIET", 0, least=0),
    )


def choice(
    environment: Mapping[str, str], name: str, known: tuple[str, ...], default: str = "all"
) -> tuple[str, ...]:
    value = environment.get(name) or default
    if value == "all":
        return known
    if value not in known:
        raise SystemExit(f"{name}={value!r}: give {', '.join(known)} or all")
    return (value,)


def number(environment: Mapping[str, str], name: str, default: int, *, least: int = 1) -> int:
    value = environment.get(name) or str(default)
    if not value.isdigit() or int(value) < least:
        raise SystemExit(f"{name}={value!r}: give a whole number, {least} or more")
    return int(value)
