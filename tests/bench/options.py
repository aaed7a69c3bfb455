"""What a run measures, from the environment of `make bench`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

BENCHES = ("campaign", "relay", "latency", "backlog", "slow", "tail", "limits", "fairness")
BACKENDS = ("sqlite", "postgresql")
RSA = ("auto", "openssl")
ROOT = Path(__file__).resolve().parents[2]
#: The last JSON line of each bench and backend; the documentation is written from them.
RESULTS = ROOT / "var" / "bench"


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable of `make bench`: a whole number, or one of `words`."""

    name: str
    default: int | str
    meaning: str
    least: int = 1
    #: What it may be; "all" stands for all of them when `many`.
    words: tuple[str, ...] = ()
    many: bool = False
    #: How the reference writes the default when it depends on another variable.
    shown: str = ""


VARIABLES = (
    Variable("BENCH", "all", "what is measured", words=BENCHES, many=True),
    Variable("BACKEND", "all", "database of the spool", words=BACKENDS, many=True),
    Variable(
        "N", 20_000, "messages of campaign, relay and limits, and those of a backlog that are sent"
    ),
    Variable("PEER_N", 5000, "messages of the peer", shown="`N`, at most 5000"),
    Variable("WARMUP", 1000, "messages before a clock starts"),
    Variable(
        "QUIET", 0, "seconds to wait, before a clock starts, for a machine that is idle", least=0
    ),
    Variable(
        "RSA", "auto", "how RSA is computed: the quickest way, or OpenSSL's own", words=RSA
    ),
    Variable("N_LATENCY", 300, "latency: single messages on the idle system, by each door"),
    Variable("BUSY", 100_000, "latency: recipients of the other tenant's campaign"),
    Variable("WAITING", 1_000_000, "backlog: messages that wait"),
    Variable("SMALL", 1000, "backlog: messages that wait in the comparison"),
    Variable("CONNECTIONS", 2000, "slow: receivers, each holding one connection"),
    Variable("SLOW_SECONDS", 5, "slow: what a receiver takes for one message"),
    Variable("EACH", 10, "slow: messages for each receiver"),
    Variable("DOMAINS", 100_000, "tail: destination domains, with 10 messages each"),
    Variable("ROUNDS", 2, "limits: turns with all limits, each between two without"),
    Variable(
        "OTHERS", 100_000, "fairness: messages of another tenant that wait for each site",
        shown="100000, or `N` with `BENCH=fairness`",
    ),
    Variable("PROBES", 40, "fairness: single messages to the limited site"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Options:
    """The variables of one run; see VARIABLES."""

    benches: tuple[str, ...]
    backends: tuple[str, ...]
    count: int
    peer_count: int
    warmup: int
    quiet: int
    rsa: str
    latency: int
    busy: int
    waiting: int
    small: int
    connections: int
    seconds: int
    each: int
    domains: int
    rounds: int
    others: int
    probes: int
    #: Everything, at the sizes that the goals speak of.
    whole: bool
    #: How a person asks for the same.
    command: str = "make bench"


def read(environment: Mapping[str, str] = os.environ) -> Options:
    """All variables; SystemExit names the one that does not fit."""
    found = {one.name: value(environment, one) for one in VARIABLES}
    number = {name: int(given) for name, given in found.items() if given.isdigit()}
    if not environment.get("PEER_N"):
        number["PEER_N"] = min(number["N"], number["PEER_N"])
    if found["BENCH"] == "fairness" and environment.get("N") and not environment.get("OTHERS"):
        number["OTHERS"] = number["N"]
    return Options(
        benches=BENCHES if found["BENCH"] == "all" else (found["BENCH"],),
        backends=BACKENDS if found["BACKEND"] == "all" else (found["BACKEND"],),
        count=number["N"],
        peer_count=number["PEER_N"],
        warmup=number["WARMUP"],
        quiet=number["QUIET"],
        rsa=found["RSA"],
        latency=number["N_LATENCY"],
        busy=number["BUSY"],
        waiting=number["WAITING"],
        small=number["SMALL"],
        connections=number["CONNECTIONS"],
        seconds=number["SLOW_SECONDS"],
        each=number["EACH"],
        domains=number["DOMAINS"],
        rounds=number["ROUNDS"],
        others=number["OTHERS"],
        probes=number["PROBES"],
        whole=all(
            found[one.name] == str(one.default)
            for one in VARIABLES
            if one.name not in {"N", "PEER_N", "QUIET"}
        ),
        command=command(environment),
    )


def command(environment: Mapping[str, str]) -> str:
    """With the variables that are set."""
    given = [
        f"{one.name}={environment[one.name]}" for one in VARIABLES if environment.get(one.name)
    ]
    return " ".join(["make bench", *given])


def value(environment: Mapping[str, str], variable: Variable) -> str:
    """What the environment says, or the default."""
    given = environment.get(variable.name) or str(variable.default)
    if variable.words:
        known = (*variable.words, "all") if variable.many else variable.words
        if given not in known:
            raise SystemExit(f"{variable.name}={given!r}: give {', '.join(known)}")
    elif not given.isdigit() or int(given) < variable.least:
        raise SystemExit(
            f"{variable.name}={given!r}: give a whole number, {variable.least} or more"
        )
    return given
