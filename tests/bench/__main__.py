"""`python -m tests.bench`: measure and print one JSON line a bench; `--write-docs` writes the page.

Environment: BENCH=campaign|relay|all, BACKEND=sqlite|postgresql|all, N messages, PEER_N messages
of the peer, QUIET seconds to wait for an idle machine.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench import load, options, postfix, report
from tests.bench.cost import total
from tests.bench.measure import MakeLoad, Measured, measure
from tests.bench.options import RESULTS, ROOT, Options
from tests.bench.sink import Sink, wait_ready
from tests.bench.stack import Stack


def main() -> None:
    if "--write-docs" in sys.argv[1:]:
        report.write(RESULTS)
        return
    chosen = options.read()
    began = os.getloadavg()[0]
    peer, peer_note = measure_peer(chosen)
    failed = False
    for backend in chosen.backends:
        for bench in chosen.benches:
            line = measure_ours(bench, backend, chosen, peer)
            line["conditions"] |= {"load_before": round(began, 2)} | peer_note
            keep(line)
            failed |= bool(line["lost"] or line["doubled"])
    sys.exit(1 if failed else 0)


def in_folder(work: Callable[[Path], Any]) -> Any:
    """Run with a folder on the disk that holds everything, short enough for Unix sockets."""
    with tempfile.TemporaryDirectory(prefix="mill-bench-") as folder:
        return work(Path(folder))


def measure_peer(chosen: Options) -> tuple[Measured | None, dict[str, Any]]:
    """The peer's figures, and what to say of them."""
    reason = postfix.why_not()
    if reason:
        return None, {"peer_missing": reason}

    def work(folder: Path) -> Measured:
        with Sink(folder) as sink:
            wait_ready(sink)
            with postfix.Peer(folder / "peer", sink) as peer:
                return measure(
                    sink, partial(load.by_smtp, peer.address), peer.roots(),
                    count=chosen.peer_count, warmup=min(chosen.warmup, chosen.peer_count),
                    quiet=chosen.quiet, settled=lambda: True,
                )  # fmt: skip

    measured: Measured = in_folder(work)
    return measured, {
        "peer_messages": chosen.peer_count,
        "peer_other_cores": measured.other_cores,
    }


def measure_ours(
    bench: str, backend: str, chosen: Options, peer: Measured | None
) -> dict[str, Any]:
    def work(folder: Path) -> dict[str, Any]:
        with Sink(folder) as sink:
            wait_ready(sink)
            stack = Stack(folder, sink, backend)
            try:
                make: MakeLoad = (
                    partial(load.by_api, f"http://{stack.http}", stack.api_key)
                    if bench == "campaign"
                    else partial(load.by_smtp, stack.relay)
                )
                got = measure(
                    sink, make, stack.roots(), count=chosen.count, warmup=chosen.warmup,
                    quiet=chosen.quiet, settled=stack.settled,
                )  # fmt: skip
                stack.check_alive()
                return as_line(bench, backend, got, peer, conditions(chosen, got, stack, sink))
            finally:
                stack.stop()

    line: dict[str, Any] = in_folder(work)
    return line


def as_line(
    bench: str, backend: str, got: Measured, peer: Measured | None, said: dict[str, Any]
) -> dict[str, Any]:
    values = asdict(got)
    del values["message_bytes"], values["other_cores"]
    rate = peer.msgs_per_s if peer else None
    return {
        "bench": bench,
        "backend": backend,
        **values,
        "peer": postfix.NAME if peer else None,
        "peer_msgs_per_s": rate,
        "peer_cpu_ms_per_msg": peer.cpu_ms_per_msg if peer else None,
        "peer_peak_rss_mb": peer.peak_rss_mb if peer else None,
        "peer_lost": peer.lost if peer else None,
        "ratio": round(got.msgs_per_s / rate, 2) if rate else None,
        "cpu_ratio": round(total(peer.cpu_ms_per_msg) / total(got.cpu_ms_per_msg), 2)
        if peer
        else None,
        "conditions": said,
    }


def conditions(chosen: Options, got: Measured, stack: Stack, sink: Sink) -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "processor": processor(),
        "python": platform.python_version(),
        "messages": chosen.count,
        "warmup": chosen.warmup,
        "message_bytes": got.message_bytes,
        "other_cores": got.other_cores,
        "durable": stack.durability(),
        "sink": sink.name,
        "revision": revision(),
    }


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def revision() -> str:
    """The commit, with "+" when files differ from it."""
    words = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def keep(line: dict[str, Any]) -> None:
    """Print the line and leave it for the documentation."""
    print(json.dumps(line), flush=True)
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{line['bench']}-{line['backend']}.json"
    path.write_text(json.dumps(line, indent=1) + "\n")


if __name__ == "__main__":
    main()
