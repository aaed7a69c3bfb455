"""The published page: every bench has its table, every goal its verdict."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from tests.bench import report
from tests.bench.line import made
from tests.bench.measure import Measured
from tests.bench.options import BACKENDS, BENCHES, VARIABLES
from tests.bench.percentiles import summary
from tests.bench.picture import Bar, draw
from tests.bench.tables import table

SAID = {
    "cores": 2, "processor": "a <quick> one", "python": "3.11.7", "revision": "abc",
    "messages": 20_000, "durable": "fsync=on", "sink": "smtp-sink",
    "signatures": "rsa-2048 + ed25519", "rsa": "OpenSSL", "waiting": 1_000_000, "small": 1000,
    "connections": 2000, "domains": 100_000, "campaign_messages": 100_000, "peer_messages": 5000,
}  # fmt: skip
CPU = {"sign": 0.2, "deliver": 0.1, "sink": 0.05}
PEER = Measured(400.0, {"postfix": 3.0, "opendkim": 1.0}, 200, 0, 0, 3000, 0.1)
DELAYS = {key: summary([10.0, 20.0]) for key in ("accepted_to_sink", "sent_to_sink")}
COST = {"msgs_per_s": 4000.0, "cpu_total_ms_per_msg": 0.3, "cpu_ms_per_msg": CPU}
SHAPE = COST | {
    "cpu_ratio": 1.1, "peak_rss_mb": 900, "fill_msgs_per_s": 9000.0, "resume_command_s": 1.5,
    "resume_to_first_message_s": 5.0,
}  # fmt: skip
HELD = {
    "msgs_per_s": 390.0, "connections_at_worker": 2000, "deliver_cores": 0.05,
    "deliver_kb_per_connection": 40.0,
}  # fmt: skip
TURNS = COST | {"each_cpu_ms_per_msg": [0.29, 0.31], "peak_rss_mb": 900}
SINGLE = {
    "accepted_to_sink": summary([10.0, 20.0]), "transactional": summary([10.0]),
    "bulk": summary([20.0]), "msgs_per_s": 4.99,
}  # fmt: skip
OWN: dict[str, dict[str, Any]] = {
    "campaign": {"peer": PEER, "peer_cpu_ms_per_msg": PEER.cpu_ms_per_msg, "cpu_ratio": 9.0},
    "latency": {"idle": DELAYS, "idle_by_smtp": DELAYS, "busy": DELAYS},
    "backlog": {
        "cpu_ratio": 1.1, "due": SHAPE | {"small": COST}, "later": SHAPE | {"before": COST},
    },
    "slow": {"possible_msgs_per_s": 400.0, "parts": {"many_sites": HELD, "one_site": HELD}},
    "tail": {
        "cpu_ratio": 1.9, "cpu_ratio_same_connections": 1.5,
        "parts": {
            key: COST | {"connections": 7}
            for key in ("one_domain", "one_domain_10_a_connection", "tail")
        },
    },
    "limits": {
        "rate_ratio": 0.93, "cpu_ratio": 1.07, "parts": {"off": TURNS, "on": TURNS},
    },
    "fairness": {
        "unlimited": SINGLE, "limited": SINGLE | {"most_others": 2, "mean_others": 1.25},
    },
}  # fmt: skip
OWN["relay"] = OWN["campaign"]


def line_of(bench: str, backend: str, **changed: Any) -> dict[str, Any]:
    fields = {"msgs_per_s": 4000.0, "cpu_ms_per_msg": CPU, "peak_rss_mb": 800}
    values: dict[str, Any] = {"lost": 0, "doubled": 0, **fields, **OWN[bench], **changed}
    return made(bench, backend, dict(SAID), **values)


@pytest.fixture
def lines() -> list[dict[str, Any]]:
    return [line_of(bench, backend) for bench in BENCHES for backend in BACKENDS]


def test_every_line_has_the_fields_that_all_benches_share(lines: list[dict[str, Any]]) -> None:
    shared = {
        "bench", "backend", "msgs_per_s", "cpu_ms_per_msg", "peak_rss_mb", "peer",
        "peer_msgs_per_s", "ratio", "conditions", "lost", "doubled",
    }  # fmt: skip
    assert all(shared <= line.keys() for line in lines)
    assert all(json.loads(json.dumps(line)) == line for line in lines)


def test_the_ratio_is_ours_by_the_peers_and_nothing_without_a_peer() -> None:
    assert line_of("campaign", "sqlite")["ratio"] == 10.0
    alone = line_of("campaign", "sqlite", peer=None)
    assert (alone["ratio"], alone["peer"], alone["peer_msgs_per_s"]) == (None, None, None)


def test_the_cost_leaves_the_tools_of_the_measurement_out() -> None:
    assert line_of("campaign", "sqlite")["cpu_total_ms_per_msg"] == pytest.approx(0.3)


def test_the_page_has_a_part_for_each_bench_and_a_verdict_for_each_goal(
    lines: list[dict[str, Any]],
) -> None:
    page = report.page(lines)
    for title in (
        "Goals",
        "Campaign and relay",
        "Latency",
        "Backlog",
        "Slow receivers",
        "The tail",
        "All limits",
        "Fairness",
    ):
        assert f"\n## {title}" in page
    assert (
        "| campaign, SQLite | messages/s, by the peer's | >= 10.00 x | **10.00 x** | yes |" in page
    )
    assert "| no |" not in page
    assert all(f"| `{one.name}` |" in page for one in VARIABLES)


def test_a_goal_that_was_missed_is_said(lines: list[dict[str, Any]]) -> None:
    slow = line_of("relay", "sqlite", peer=PEER, msgs_per_s=1990.0)
    assert "| >= 5.00 x | **4.97 x** | no |" in report.page([*lines, slow])


def test_losses_are_added_up_on_the_page(lines: list[dict[str, Any]]) -> None:
    assert "0 messages were lost and 0 doubled" in report.page(lines)
    bad = [*lines, line_of("tail", "sqlite", lost=2, doubled=3)]
    assert "2 messages were lost and 3 doubled" in report.page(bad)


@pytest.mark.parametrize("bench", BENCHES)
def test_one_bench_alone_makes_a_page(bench: str) -> None:
    page = report.page([line_of(bench, "postgresql")])
    assert "PostgreSQL" in page
    assert "SQLite" not in page.partition("## How to repeat it")[0]


def test_every_table_is_rectangular(lines: list[dict[str, Any]]) -> None:
    block: list[str] = []
    for row in [*report.page(lines).splitlines(), ""]:
        if row.startswith("|"):
            block.append(row)
        elif block:
            assert len({one.count("|") for one in block}) == 1, block[0]
            block = []


def test_only_the_marked_block_of_the_readme_changes(lines: list[dict[str, Any]]) -> None:
    readme = "before\n<!-- figures:begin (x) -->\nold\n<!-- figures:end -->\nafter\n"
    once = report.with_figures(readme, lines)
    assert once.startswith("before\n<!-- figures:begin (x) -->\n|")
    assert once.endswith("\n<!-- figures:end -->\nafter\n")
    assert "old" not in once
    assert report.with_figures(once, lines) == once
    with pytest.raises(ValueError, match="markers"):
        report.with_figures("no block", lines)


def test_the_readme_of_the_repository_has_the_block(lines: list[dict[str, Any]]) -> None:
    readme = (Path(__file__).resolve().parents[3] / "README.md").read_text()
    assert "4,000" in report.with_figures(readme, lines)


def test_pictures_are_xml_and_their_longest_bar_is_the_largest_figure(
    lines: list[dict[str, Any]],
) -> None:
    for bars in (report.rates(lines), report.latencies(lines)):
        root = ElementTree.fromstring(draw(bars, "a <caption>", " ms"))
        widths = [int(rect.get("width", 0)) for rect in root.iter() if rect.tag.endswith("rect")]
        assert len(widths) == len(bars)
        largest = max(range(len(bars)), key=lambda at: bars[at].value)
        assert widths[largest] == max(widths)


def test_a_picture_of_nothing_is_refused_and_one_of_zero_is_not() -> None:
    with pytest.raises(ValueError, match="bar"):
        draw([], "", "")
    assert "0 ms" in draw([Bar("nothing", 0.0)], "", " ms")


def test_a_table_puts_words_left_and_numbers_right() -> None:
    assert table(["a", "b"], [["x", "1"]]) == ["| a | b |", "|---|---:|", "| x | 1 |"]


def test_lines_of_the_last_run_are_found_by_name(tmp_path: Path) -> None:
    (tmp_path / "relay-sqlite.json").write_text(json.dumps(line_of("relay", "sqlite")))
    (tmp_path / "other.json").write_text("{}")
    assert [line["bench"] for line in report.read(tmp_path)] == ["relay"]
    with pytest.raises(SystemExit, match="make bench"):
        report.write(tmp_path / "empty")
