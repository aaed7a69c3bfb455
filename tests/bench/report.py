"""`docs/reference/performance.md` and its picture, from the last JSON line of each bench."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench.cost import total
from tests.bench.options import BACKENDS, BENCHES, ROOT
from tests.bench.picture import Bar, draw

PAGE = ROOT / "docs" / "reference" / "performance.md"
PICTURE = PAGE.with_suffix(".svg")
BACKEND_NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
WHAT = {
    "campaign": "API requests of 1,000 recipients; each message personalised from a template "
    "(subject, text, HTML) and signed with RSA-2048 and Ed25519",
    "relay": "messages handed in by SMTP over 20 sessions; each signed with RSA-2048 and Ed25519",
}
Line = dict[str, Any]


def write(results: Path) -> None:
    """Write page and picture; SystemExit when nothing has been measured."""
    lines = read(results)
    if not lines:
        raise SystemExit(f"nothing measured in {results}: run make bench first")
    PICTURE.write_text(draw(bars(lines), "messages per second, accepted to delivered"))
    PAGE.write_text(page(lines))
    print(f"written: {PAGE.relative_to(ROOT)}, {PICTURE.relative_to(ROOT)}")


def read(results: Path) -> list[Line]:
    paths = [results / f"{bench}-{backend}.json" for bench in BENCHES for backend in BACKENDS]
    return [json.loads(path.read_text()) for path in paths if path.exists()]


def name(line: Line) -> str:
    return f"{line['bench']}, {BACKEND_NAMES[line['backend']]}"


def peers(lines: Sequence[Line]) -> list[Line]:
    """One line per run in which the peer was measured."""
    found: dict[float, Line] = {}
    for line in lines:
        if line["peer"]:
            found.setdefault(line["peer_msgs_per_s"], line)
    return list(found.values())


def bars(lines: Sequence[Line]) -> list[Bar]:
    ours = [
        Bar(name(line), line["msgs_per_s"], f"= {line['ratio']:.1f} x" if line["ratio"] else "")
        for line in lines
    ]
    theirs = [Bar(line["peer"], line["peer_msgs_per_s"], ours=False) for line in peers(lines)]
    return ours + theirs


def page(lines: Sequence[Line]) -> str:
    return "\n".join([
        "# Performance",
        "",
        "Written by `python -m tests.bench --write-docs` from the last runs of `make bench`, never",
        "by hand. What a figure is worth depends on the machine, so the same load goes through",
        "Postfix with OpenDKIM in the same run, and the ratio is what to compare.",
        "",
        "![Messages per second](performance.svg)",
        "",
        *table(lines),
        "",
        *costs(lines),
        "",
        *meaning(lines),
        "",
        *conditions(lines),
        "",
        *REPEAT,
        "",
    ])  # fmt: skip


def table(lines: Sequence[Line]) -> list[str]:
    rows = [
        f"| {name(line)} | **{line['msgs_per_s']:,.0f}** | {shown(line['peer_msgs_per_s'])} "
        f"| {shown(line['ratio'], ' x', 1)} | {total(line['cpu_ms_per_msg']):.2f} "
        f"| {total_of_peer(line)} | {shown(line['cpu_ratio'], ' x', 1)} "
        f"| {line['peak_rss_mb']} | {line['lost']} | {line['doubled']} |"
        for line in lines
    ]
    return [
        "| bench | messages/s | peer/s | ratio | CPU ms/message | peer CPU ms/message "
        "| CPU ratio | peak memory MB | lost | doubled |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
        *rows,
    ]


def costs(lines: Sequence[Line]) -> list[str]:
    """CPU milliseconds by kind of process; idle ones are left out."""
    kinds = sorted({kind for line in lines for kind in line["cpu_ms_per_msg"]}, key=weight(lines))
    kinds = [kind for kind in kinds if weight(lines)(kind) <= -0.0005]
    rows = [
        f"| {name(line)} | "
        + " | ".join(f"{line['cpu_ms_per_msg'].get(kind, 0):.3f}" for kind in kinds)
        + " |"
        for line in lines
    ]
    return [
        "CPU milliseconds per message by process (injector and sink are not Mailmill's):",
        "",
        f"| bench | {' | '.join(kinds)} |",
        f"|---|{'---:|' * len(kinds)}",
        *rows,
    ]


def weight(lines: Sequence[Line]):
    def of(kind: str) -> float:
        return -max(line["cpu_ms_per_msg"].get(kind, 0) for line in lines)

    return of


def total_of_peer(line: Line) -> str:
    return f"{total(line['peer_cpu_ms_per_msg']):.2f}" if line["peer"] else "not measured"


def shown(value: float | None, unit: str = "", digits: int = 0) -> str:
    return "not measured" if value is None else f"{value:,.{digits}f}{unit}"


def meaning(lines: Sequence[Line]) -> list[str]:
    benches = dict.fromkeys(line["bench"] for line in lines)
    return [
        "## What is measured",
        "",
        *(f"- **{bench}**: {WHAT[bench]}." for bench in benches),
        "- Messages per second: from the first byte handed in to the last message at the sink;",
        "  caches are warm and connections open.",
        "- CPU is user and system time, until the last message is settled in the database.",
        "- Memory is that of all processes of the stack, pages shared by several counted once.",
        "- Lost and doubled: the sink notes each recipient it was given, and each is different.",
        "- The peer takes its mail by SMTP over 20 sessions, 2,048 bytes of content, and signs",
        "  once (RSA-2048, OpenDKIM as a milter on a Unix socket); Mailmill signs twice. Both",
        "  commit to the same disk before they say 250, and both send to the same sink. The",
        "  peer's configuration is in [tests/bench/peer](../../tests/bench/peer/main.cf).",
    ]


def conditions(lines: Sequence[Line]) -> list[str]:
    rows = []
    for line in lines:
        said = line["conditions"]
        rows.append(
            f"| {name(line)} | {said['cores']} x {said['processor']} | {said['python']} "
            f"| {said['messages']:,} of {said['message_bytes']:,} B "
            f"| {said.get('peer_messages', 0):,} | {said['durable']} | {said['sink']} "
            f"| {said['other_cores']} / {said.get('peer_other_cores', '-')} | {said['revision']} |"
        )
    return [
        "## Conditions",
        "",
        "| bench | cores | Python | messages | peer's messages | commits | sink "
        "| other cores, ours / peer's | revision |",
        "|---|---|---|---|---:|---|---|---:|---|",
        *rows,
        "",
        "`other cores` are those that other programs kept busy during the measurement. A system of",
        "many processes (Postfix) gets more of a contended core than one of few, so such a run",
        "flatters the peer; the CPU ratio (CPU time of the peer for a message, by ours) depends on",
        "it far less. Bytes are those of the sink's capture, signatures and about 200 of its own",
        "included.",
    ]


REPEAT = (
    "## How to repeat it",
    "",
    "```sh",
    "apt-get install postfix opendkim    # peer, injector and sink; only root may start it",
    "make bench                          # everything on SQLite",
    "make bench BENCH=campaign N=20000 BACKEND=postgresql",
    ".venv/bin/python -m tests.bench --write-docs",
    "```",
    "",
    "| variable | values | default |",
    "|---|---|---|",
    "| `BENCH` | `campaign`, `relay`, `all` | `all` |",
    "| `BACKEND` | `sqlite`, `postgresql`, `all` | `sqlite` |",
    "| `N` | messages of a bench | 20000 |",
    "| `PEER_N` | messages of the peer | `N`, at most 5000 |",
    "| `QUIET` | seconds to wait, before the clock starts, for a machine that is idle | 0 |",
    "",
    "Each bench prints one line of JSON and leaves it in `var/bench/`. Without Debian's `postfix`",
    "the campaign runs against the fake world of the tests and has no peer; `relay` needs",
    "`smtp-source`. The exit code is 1 when a message was lost or doubled.",
)
