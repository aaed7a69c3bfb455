"""The tables of `docs/reference/performance.md`, one or two for each bench."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tests.bench.cost import total
from tests.bench.goals import figure, judged

BACKEND_NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
Line = dict[str, Any]
Rows = list[str]


def backend(line: Line) -> str:
    return BACKEND_NAMES[line["backend"]]


def name(line: Line) -> str:
    return f"{line['bench']}, {backend(line)}"


def shown(value: float | None, unit: str = "", digits: int = 0) -> str:
    return "-" if value is None else f"{value:,.{digits}f}{unit}"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> Rows:
    """Markdown; the first `left` columns are words, the others numbers."""
    marks = ["---"] * left + ["---:"] * (len(heads) - left)
    head, *body = [f"| {' | '.join(cells)} |" for cells in (heads, *rows)]
    return [head, f"|{'|'.join(marks)}|", *body]


def goals(lines: Sequence[Line]) -> Rows:
    """Every goal beside what was measured."""
    rows = [
        [name(line), one.goal.what, one.goal.told(), f"**{one.measured}**", one.met]
        for line in lines
        for one in judged(line)
    ]
    return table(["bench", "figure", "goal", "measured", "met"], rows, left=5)


def throughput(lines: Sequence[Line]) -> Rows:
    """Campaign and relay beside the peer."""
    heads = [
        "bench", "messages/s", "peer/s", "ratio", "CPU ms/message", "peer CPU ms/message",
        "CPU ratio", "peak memory MB",
    ]  # fmt: skip
    rows = [
        [
            name(line), f"**{line['msgs_per_s']:,.0f}**", shown(line["peer_msgs_per_s"]),
            shown(line["ratio"], " x", 1), f"{total(line['cpu_ms_per_msg']):.2f}",
            f"{total(line['peer_cpu_ms_per_msg']):.2f}" if line["peer"] else "-",
            shown(line["cpu_ratio"], " x", 1), str(line["peak_rss_mb"]),
        ]
        for line in lines
    ]  # fmt: skip
    return [*table(heads, rows), "", *by_process(lines)]


def by_process(lines: Sequence[Line]) -> Rows:
    """CPU milliseconds by kind of process; idle ones are left out."""

    def weight(kind: str) -> float:
        return max(line["cpu_ms_per_msg"].get(kind, 0) for line in lines)

    kinds = sorted({kind for line in lines for kind in line["cpu_ms_per_msg"]}, key=weight)
    kinds = [kind for kind in reversed(kinds) if weight(kind) >= 0.0005]
    rows = [
        [name(line), *(f"{line['cpu_ms_per_msg'].get(kind, 0):.3f}" for kind in kinds)]
        for line in lines
    ]
    return [
        "CPU milliseconds per message by process (injector, sink and dns are not Mailmill's):",
        "",
        *table(["bench", *kinds], rows),
    ]


LATENCIES = {
    "idle, by the API": "idle.accepted_to_sink",
    "idle, by the API, from the first byte of the request": "idle.sent_to_sink",
    "idle, by SMTP": "idle_by_smtp.accepted_to_sink",
    "beside the campaign": "busy.accepted_to_sink",
    "beside the campaign, from the first byte of the request": "busy.sent_to_sink",
}


def latency(lines: Sequence[Line]) -> Rows:
    rows = []
    for line in lines:
        for what, path in LATENCIES.items():
            found = figure(line, path) or {}
            parts = [found.get(key) for key in ("p50_ms", "p95_ms", "p99_ms", "max_ms")]
            rows.append([
                backend(line), what, shown(found.get("n")), *(shown(ms, "", 1) for ms in parts)
            ])  # fmt: skip
    heads = ["backend", "milliseconds", "messages", "p50", "p95", "p99", "most"]
    return table(heads, rows, left=2)


def backlog(lines: Sequence[Line]) -> Rows:
    rows = []
    for line in lines:
        due, later, said = line["due"], line["later"], line["conditions"]
        waiting = f"{said['waiting']:,}"
        for what, part, ratio in (
            (f"{said['small']:,} due, again and again", due["small"], None),
            (f"{waiting} due", due, due["cpu_ratio"]),
            ("campaign, nothing waiting", later["before"], None),
            (f"campaign beside {waiting} not due", later, later["cpu_ratio"]),
        ):
            rows.append([
                backend(line), what, shown(part["msgs_per_s"]),
                shown(part["cpu_total_ms_per_msg"], "", 3), shown(ratio, " x", 2),
                shown(part.get("peak_rss_mb")),
            ])  # fmt: skip
    heads = ["backend", "waiting", "messages/s", "CPU ms/message", "ratio", "peak memory MB"]
    filled = [
        f"{backend(line)}: handed in by the API at {shown(line['due']['fill_msgs_per_s'])}/s "
        "while nothing was sent. A suspended tenant with what was left was resumed in "
        f"{shown(line['due']['resume_command_s'], ' s', 1)}; its first message was at the sink "
        f"{shown(line['due']['resume_to_first_message_s'], ' s', 1)} after the command was given."
        for line in lines
    ]
    return [*table(heads, rows, left=2), *(row for text in filled for row in ("", text))]


SLOW = {
    "many_sites": "a mail host for each domain",
    "one_site": "one mail host for all domains",
}


def slow(lines: Sequence[Line]) -> Rows:
    rows = [
        [
            backend(line), words, shown(part["connections_at_worker"]),
            f"{shown(part['msgs_per_s'])} of {shown(line['possible_msgs_per_s'])}",
            shown(part["deliver_cores"], "", 2), shown(part["deliver_kb_per_connection"]),
        ]
        for line in lines
        for part, words in ((line["parts"][key], words) for key, words in SLOW.items())
    ]  # fmt: skip
    heads = [
        "backend", "receivers", "connections in one worker", "messages/s", "cores of the worker",
        "KB a connection",
    ]  # fmt: skip
    return table(heads, rows, left=2)


TAIL = {
    "one_domain": "one domain, 1,000 messages a connection",
    "one_domain_10_a_connection": "one domain, 10 messages a connection",
    "tail": "the tail, 10 messages a domain",
}


def tail(lines: Sequence[Line]) -> Rows:
    rows = []
    for line in lines:
        cost = line["parts"]["tail"]["cpu_total_ms_per_msg"]
        for key, words in TAIL.items():
            part = line["parts"][key]
            ratio = None if key == "tail" else cost / part["cpu_total_ms_per_msg"]
            rows.append([
                backend(line), words, shown(part["msgs_per_s"]),
                shown(part["cpu_total_ms_per_msg"], "", 3), shown(part["connections"]),
                shown(ratio, " x", 2),
            ])  # fmt: skip
    heads = [
        "backend", "destinations", "messages/s", "CPU ms/message", "connections",
        "the tail's CPU by this",
    ]  # fmt: skip
    return table(heads, rows, left=2)


LIMITS = {"off": "none", "on": "all"}


def limits(lines: Sequence[Line]) -> Rows:
    rows: list[list[str]] = []
    kinds: list[Line] = []
    for line in lines:
        for key, words in LIMITS.items():
            part = line["parts"][key]
            on = key == "on"
            rows.append([
                backend(line), words, shown(part["msgs_per_s"]),
                shown(line["rate_ratio"] if on else None, " x", 2),
                shown(part["cpu_total_ms_per_msg"], "", 3),
                shown(line["cpu_ratio"] if on else None, " x", 2),
                ", ".join(f"{one:.3f}" for one in part["each_cpu_ms_per_msg"]),
                shown(part["peak_rss_mb"]),
            ])  # fmt: skip
            said = {"bench": f"limits: {words}", "cpu_ms_per_msg": part["cpu_ms_per_msg"]}
            kinds.append(line | said)
    heads = [
        "backend", "limits", "messages/s", "by none", "CPU ms/message", "by none", "turn by turn",
        "peak memory MB",
    ]  # fmt: skip
    return [*table(heads, rows, left=2), "", *by_process(kinds)]


FAIR = {
    "all": "accepted_to_sink",
    "by the transactional stream": "transactional",
    "by the bulk stream": "bulk",
}


def fairness(lines: Sequence[Line]) -> Rows:
    rows = []
    for line in lines:
        for site in ("unlimited", "limited"):
            part = line[site]
            for words, path in FAIR.items():
                found = part[path]
                parts = [found.get(key) for key in ("p50_ms", "p95_ms", "p99_ms", "max_ms")]
                rows.append([
                    backend(line), site, words, shown(found.get("n")),
                    *(shown(ms, "", 1) for ms in parts),
                ])  # fmt: skip
    heads = ["backend", "site", "milliseconds", "messages", "p50", "p95", "p99", "most"]
    told = [
        f"{backend(line)}: the unlimited site took {shown(line['unlimited']['msgs_per_s'])}/s of "
        f"the campaign meanwhile, the limited one {shown(line['limited']['msgs_per_s'], '', 2)}/s "
        f"in all. There {shown(line['limited']['mean_others'], '', 2)} messages of others came "
        f"before a single one in the mean, {shown(line['limited']['most_others'])} at most."
        for line in lines
    ]
    return [*table(heads, rows, left=3), *(row for text in told for row in ("", text))]


TABLES: dict[str, Callable[[Sequence[Line]], Rows]] = {
    "throughput": throughput,
    "latency": latency,
    "backlog": backlog,
    "slow": slow,
    "tail": tail,
    "limits": limits,
    "fairness": fairness,
}
