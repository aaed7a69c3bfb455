"""The JSON line of a bench: the same fields in all of them, null where one has no meaning."""

from __future__ import annotations

import json
from typing import Any

from tests.bench import conditions, postfix
from tests.bench.cost import total
from tests.bench.measure import Measured
from tests.bench.options import RESULTS, Options
from tests.bench.sink import Sink
from tests.bench.stack import Stack

Line = dict[str, Any]


def made(
    bench: str, backend: str, said: dict[str, Any], *, lost: int, doubled: int,
    msgs_per_s: float | None = None, cpu_ms_per_msg: dict[str, float] | None = None,
    peak_rss_mb: int | None = None, peer: Measured | None = None, **more: Any,
) -> Line:  # fmt: skip
    """`said` are the conditions, `more` the bench's own fields."""
    rate = peer.msgs_per_s if peer else None
    return {
        "bench": bench,
        "backend": backend,
        "msgs_per_s": msgs_per_s,
        "cpu_ms_per_msg": cpu_ms_per_msg,
        "cpu_total_ms_per_msg": round(total(cpu_ms_per_msg), 4) if cpu_ms_per_msg else None,
        "peak_rss_mb": peak_rss_mb,
        "lost": lost,
        "doubled": doubled,
        "peer": postfix.NAME if peer else None,
        "peer_msgs_per_s": rate,
        "ratio": round(msgs_per_s / rate, 2) if msgs_per_s and rate else None,
        **more,
        "conditions": said,
    }


def common(chosen: Options, stack: Stack, sink: Sink) -> dict[str, Any]:
    """Conditions that every bench tells."""
    return {
        **conditions.machine(),
        "command": chosen.command,
        "durable": stack.durability(),
        "sink": sink.name,
        "signatures": stack.signatures(),
        "rsa": conditions.engine(chosen.rsa),
    }


def keep(line: Line) -> None:
    """Print the line and leave it for the documentation."""
    print(json.dumps(line), flush=True)
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{line['bench']}-{line['backend']}.json"
    path.write_text(json.dumps(line, indent=1) + "\n")
