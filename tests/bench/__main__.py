"""`python -m tests.bench`: measure and print one JSON line a bench; `--write-docs` writes the page.

What is measured comes from the environment: see tests/bench/options.py. Progress goes to standard
error. The page is written by itself after a run of everything at the sizes of the goals.
"""

from __future__ import annotations

import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.bench import (
    backlog,
    fairness,
    latency,
    limits,
    line,
    options,
    report,
    slow,
    tail,
    throughput,
)
from tests.bench.line import Line
from tests.bench.options import RESULTS, Options
from tests.bench.progress import say

ALONE: dict[str, Callable[[str, Options, Path], Line]] = {
    "latency": latency.run,
    "backlog": backlog.run,
    "slow": slow.run,
    "tail": tail.run,
    "limits": limits.run,
    "fairness": fairness.run,
}


def main() -> None:
    if "--write-docs" in sys.argv[1:]:
        report.write(RESULTS)
        return
    # As after Ctrl-C: what was started is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    chosen = options.read()
    failed = 0
    for made in measured(chosen):
        if made is None:
            failed += 1
        elif made["lost"] or made["doubled"]:
            failed += 1
            say(f"{name_of(made)}: {made['lost']} lost, {made['doubled']} doubled")
    if chosen.whole and not failed:
        report.write(RESULTS)
    sys.exit(1 if failed else 0)


def name_of(made: Line) -> str:
    return f"{made['bench']} on {made['backend']}"


def measured(chosen: Options) -> Iterator[Line | None]:
    """Every bench on every backend, each line printed as it is there; None for one that failed."""
    for backend in chosen.backends:
        for bench in chosen.benches:
            say(f"{bench} on {backend}")

            def work(folder: Path, bench: str = bench, backend: str = backend) -> Line:
                if bench in ALONE:
                    return ALONE[bench](backend, chosen, folder)
                return throughput.run(bench, backend, chosen, folder)

            try:
                made = in_folder(work)
            except Exception:  # the others of a long run are worth having
                traceback.print_exc()
                yield None
            else:
                line.keep(made)
                yield made


def in_folder(work: Callable[[Path], Any]) -> Any:
    """Run with a folder on the disk that holds everything, short enough for Unix sockets."""
    with tempfile.TemporaryDirectory(prefix="mill-bench-") as folder:
        return work(Path(folder))


if __name__ == "__main__":
    main()
