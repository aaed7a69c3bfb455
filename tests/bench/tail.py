"""Tail: a hundred thousand domains with 10 messages each, against one domain with all of them.

Rule 1: everything is handed in while nothing is claimed, then drained: each domain can have its 10
        messages in one batch.
Rule 2: the comparison is made twice: with one connection kept for 1,000 messages, which is what a
        big domain gives, and with 10 messages a connection, so that both open equally many
        connections. The second ratio leaves the cost of connections aside; the look-ups of the
        hundred thousand domains stay in.
Rule 3: the sink is also the name server, and its CPU is nobody's cost.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench import line, load
from tests.bench.backlog import FILL, Cost
from tests.bench.cost import total, wait_quiet
from tests.bench.crowd import Crowd, Tally, tally
from tests.bench.line import Line
from tests.bench.measure import PATIENCE, Meter, wait_settled, warm_up
from tests.bench.options import Options
from tests.bench.progress import Progress, say, tell
from tests.bench.stack import Stack
from tests.bench.stamping_sink import StampingSink

EACH = 10
#: Kinds of process that a connection costs something: sockets and leases.
OPENING = ("deliver", "valkey")


@dataclass(frozen=True, slots=True)
class Part:
    """One drain."""

    cost: Cost
    tally: Tally
    connections: int
    fill_rate: float
    peak_rss_mb: int
    said: dict[str, Any]

    def told(self) -> dict[str, Any]:
        return self.cost.told() | {
            "connections": self.connections,
            "fill_msgs_per_s": self.fill_rate,
            "peak_rss_mb": self.peak_rss_mb,
        }


def run(backend: str, chosen: Options, folder: Path) -> Line:
    """One line: the tail and the two comparisons, each on a stack of its own."""
    count = chosen.domains * EACH
    big = Crowd(count, "b", "big.test")
    parts = {
        "one_domain": drain("one-domain", backend, chosen, folder, big, 1000),
        "one_domain_10_a_connection": drain("ten", backend, chosen, folder, big, EACH),
        "tail": drain(
            "tail", backend, chosen, folder, Crowd(count, "t", "tail.test", chosen.domains), 1000
        ),
    }
    tail = parts["tail"]
    costs = {name: total(part.cost.per_message()) for name, part in parts.items()}
    return line.made(
        "tail", backend, tail.said,
        lost=sum(part.tally.lost for part in parts.values()),
        doubled=sum(part.tally.doubled for part in parts.values()),
        msgs_per_s=tail.told()["msgs_per_s"], cpu_ms_per_msg=tail.cost.per_message(),
        peak_rss_mb=tail.peak_rss_mb,
        cpu_ratio=round(costs["tail"] / costs["one_domain"], 2),
        cpu_ratio_same_connections=round(costs["tail"] / costs["one_domain_10_a_connection"], 2),
        connection_ms=connection_cost(parts["one_domain"], parts["one_domain_10_a_connection"]),
        parts={name: part.told() for name, part in parts.items()},
    )  # fmt: skip


def connection_cost(few: Part, many: Part) -> float | None:
    """CPU milliseconds of one more connection, in the processes that it costs something."""
    more = many.connections - few.connections
    if more <= 0:
        return None
    seconds = [sum(part.cost.seconds.get(kind, 0.0) for kind in OPENING) for part in (few, many)]
    return round((seconds[1] - seconds[0]) * 1000 / more, 3)


def drain(
    name: str, backend: str, chosen: Options, folder: Path, crowd: Crowd, a_connection: int
) -> Part:
    """Fill, then measure until everything is settled."""
    say(f"tail: {name}, {crowd.count:,} messages")
    place = folder / name
    place.mkdir()
    with (
        StampingSink(place) as sink,
        Stack(
            place, sink, backend, settings={"MAILMILL_RSA": chosen.rsa},
            limits={"messages_per_connection": a_connection},
        ) as stack,
    ):  # fmt: skip
        by_api = partial(load.by_api, stack.url, stack.api_key)
        warm_up(sink, by_api, Crowd(chosen.warmup, "w", "warm.test"), stack.settled)
        stack.pause_dispatch()
        filled_at = time.monotonic()
        by_api(crowd, *FILL).run()
        fill_rate = crowd.count / (time.monotonic() - filled_at)
        wait_quiet(chosen.quiet)
        meter, progress = Meter(stack.roots(), sink), Progress("at the sink", crowd.count)
        opened = sink.connections_ever()

        def meanwhile(done: int) -> None:
            meter.look()
            progress.tell(done)

        started_at = time.monotonic()
        stack.resume_dispatch()
        last_at = sink.wait_for(crowd, PATIENCE, meanwhile)
        wait_settled(stack.settled)
        cost = Cost(crowd.count, meter.seconds(), last_at - started_at)
        stack.check_alive()
        said = line.common(chosen, stack, sink) | {
            "messages": crowd.count, "domains": chosen.domains,
        }  # fmt: skip
        part = Part(
            cost, tally(crowd, sink.accepted()), sink.connections_ever() - opened,
            round(fill_rate, 1), meter.peak_rss_mb, said,
        )  # fmt: skip
        tell(f"tail {name}", part.told())
        return part
