"""The published figures, from the last JSON line of each bench: page, pictures, README.

`docs/reference/performance.md`, its pictures beside it, and the block between the figures markers
of README.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from tests.bench.goals import figure
from tests.bench.meaning import ABOUT_OTHERS, MEANING, TITLES, repeat
from tests.bench.options import BACKENDS, BENCHES, ROOT
from tests.bench.picture import Bar, draw
from tests.bench.tables import TABLES, Line, goals, name, shown, table

PAGE = ROOT / "docs" / "reference" / "performance.md"
RATES, DELAYS = PAGE.with_suffix(".svg"), PAGE.with_name("performance-latency.svg")
README = ROOT / "README.md"
MARKED = re.compile(r"(<!-- figures:begin[^\n]*-->\n).*?(<!-- figures:end -->)", re.DOTALL)
BESIDE_PEER = ("campaign", "relay")


def write(results: Path) -> None:
    """Write everything; SystemExit when nothing has been measured."""
    lines = read(results)
    if not lines:
        raise SystemExit(f"nothing measured in {results}: run make bench first")
    written = [PAGE, README]
    pictures = {
        RATES: (rates(lines), "messages per second, accepted to delivered", "/s"),
        DELAYS: (latencies(lines), "milliseconds from accepted to the receiver, p99", " ms"),
    }
    for path, (bars, caption, unit) in pictures.items():
        if bars:
            path.write_text(draw(bars, caption, unit))
            written.append(path)
    PAGE.write_text(page(lines))
    README.write_text(with_figures(README.read_text(), lines))
    print("written: " + ", ".join(str(path.relative_to(ROOT)) for path in written))


def read(results: Path) -> list[Line]:
    paths = [results / f"{bench}-{backend}.json" for bench in BENCHES for backend in BACKENDS]
    return [json.loads(path.read_text()) for path in paths if path.exists()]


def of(lines: Sequence[Line], section: str) -> list[Line]:
    """The lines of a section of the page."""
    benches = BESIDE_PEER if section == "throughput" else (section,)
    return [line for line in lines if line["bench"] in benches]


def rates(lines: Sequence[Line]) -> list[Bar]:
    """Campaign and relay, then the peer."""
    found = of(lines, "throughput")
    ours = [
        Bar(name(line), line["msgs_per_s"], f"= {line['ratio']:.1f} x" if line["ratio"] else "")
        for line in found
    ]
    peers: dict[str, list[float]] = {}
    for line in found:
        if line["peer"]:
            peers.setdefault(line["peer"], []).append(line["peer_msgs_per_s"])
    # One bar for all its runs: they differ by the machine's drift alone.
    return ours + [Bar(peer, fmean(rates), ours=False) for peer, rates in peers.items()]


def latencies(lines: Sequence[Line]) -> list[Bar]:
    bars = []
    for line in of(lines, "latency"):
        where = name(line).partition(", ")[2]
        for words, path in (("idle", "idle"), ("beside a campaign", "busy")):
            value = figure(line, f"{path}.accepted_to_sink.p99_ms")
            middle = figure(line, f"{path}.accepted_to_sink.p50_ms")
            if value is not None:
                bars.append(Bar(f"{words}, {where}", value, f"(p50 {middle:,.0f})"))
    return bars


def page(lines: Sequence[Line]) -> str:
    return "\n".join([
        "# Performance",
        "",
        "Written by `python -m tests.bench --write-docs` from the last runs of `make bench`, never",
        "by hand. What a figure is worth depends on the machine, so the same load goes through",
        "Postfix with OpenDKIM in the same run, and the ratio is what to compare.",
        "",
        *(("![Messages per second](performance.svg)", "") if rates(lines) else ()),
        "## Goals",
        "",
        *goals(lines),
        "",
        f"In all of them together {sum(line['lost'] for line in lines)} messages were lost and "
        f"{sum(line['doubled'] for line in lines)} doubled.",
        "",
        *(row for section in TITLES for row in part(section, of(lines, section))),
        *conditions(lines),
        "",
        *repeat(),
        "",
    ])  # fmt: skip


def part(section: str, lines: Sequence[Line]) -> list[str]:
    """Heading, tables and meaning of one section; nothing when it was not measured."""
    if not lines:
        return []
    picture = ["![Latency](performance-latency.svg)", ""] if section == "latency" else []
    return [
        f"## {TITLES[section]}", "", *TABLES[section](lines), "", *picture, *MEANING[section], "",
    ]  # fmt: skip


def conditions(lines: Sequence[Line]) -> list[str]:
    rows = []
    for line in lines:
        said = line["conditions"]
        size = said.get("message_bytes")
        rows.append([
            name(line), f"{said['cores']} x {said['processor']}", said["python"],
            f"{said['messages']:,}" + (f" of {size:,} B" if size else ""),
            said.get("signatures", "-"), said.get("rsa", "-"), said["durable"], said["sink"],
            others(said.get("other_cores"), said.get("peer_other_cores")), said["revision"],
        ])  # fmt: skip
    heads = [
        "bench", "cores", "Python", "messages", "signatures", "RSA", "commits", "sink",
        "other cores, ours / peer's", "revision",
    ]  # fmt: skip
    peers = sorted({line["conditions"].get("peer_messages", 0) for line in lines} - {0})
    told = [f"Messages of the peer: {', '.join(f'{n:,}' for n in peers)}.", ""] if peers else []
    return ["## Conditions", "", *table(heads, rows, left=10), "", *told, *ABOUT_OTHERS]


def others(ours: float | None, peers: float | None) -> str:
    return f"{shown(ours, '', 2)} / {shown(peers, '', 2)}"


def with_figures(readme: str, lines: Sequence[Line]) -> str:
    """The README with new figures; ValueError when it has no markers."""
    if not MARKED.search(readme):
        raise ValueError("README.md has no figures markers")
    block = "\n".join(figures(lines))
    return MARKED.sub(lambda found: found[1] + block + "\n" + found[2], readme)


def figures(lines: Sequence[Line]) -> list[str]:
    """Campaign and relay beside the peer, and the goals of the others."""
    doors = {"campaign": "campaign by API", "relay": "relay by SMTP, 20 sessions"}
    beside = [
        [
            f"{doors[line['bench']]}, {name(line).partition(', ')[2]}",
            shown(line["msgs_per_s"]), shown(line["peer_msgs_per_s"]),
            shown(line["ratio"], " x", 1), f"{line['lost']}, {line['doubled']}",
        ]
        for line in of(lines, "throughput")
    ]  # fmt: skip
    others = goals([line for line in lines if line["bench"] not in BESIDE_PEER])
    said = lines[0]["conditions"]
    command = said.get("command", "make bench")
    heads = ["bench", "messages/s", "Postfix + OpenDKIM, same run", "ratio", "lost, doubled"]
    return [
        *table(heads, beside),
        "",
        *(others if len(others) > 2 else ()),
        *([""] if len(others) > 2 else ()),
        f"`{command}` on {said['cores']} cores ({said['processor']}),",
        "injector and sink on the same cores, durable commits on; Mailmill signs each message with",
        f"{said.get('signatures', 'RSA and Ed25519')}, the peer with RSA-2048.",
        "[Performance](docs/reference/performance.md) has the CPU by process and all conditions.",
    ]
