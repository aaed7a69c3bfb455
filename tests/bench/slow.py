"""Slow world: thousands of receivers that take seconds per message, all held by one process."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.bench import line, load
from tests.bench.backlog import FILL
from tests.bench.cost import Costs, per_message, resident, wait_quiet
from tests.bench.crowd import Crowd, Tally, tally
from tests.bench.line import Line
from tests.bench.measure import PATIENCE, Meter, wait_settled
from tests.bench.options import Options
from tests.bench.progress import Progress, say, tell
from tests.bench.stack import Stack
from tests.bench.stamping_sink import StampingSink
from tests.services.processes import wait_until

#: name -> domain: receivers with a mail host each, and domains of one mail host.
VARIANTS = {"many_sites": "own.test", "one_site": "shared.test"}
#: From this share of the connections on, the worker counts as holding all of them.
FULL = 0.95


def run(backend: str, chosen: Options, folder: Path) -> Line:
    """One line of both variants, on one stack."""
    with (
        StampingSink(folder, delay=chosen.seconds) as sink,
        Stack(
            folder, sink, backend, settings=room_for(chosen),
            limits={"connections": chosen.connections},
        ) as stack,
    ):  # fmt: skip
        say("warm-up")
        crowd = Crowd(20, "w", "warm.test", spread=20)
        load.by_api(stack.url, stack.api_key, crowd).run()
        sink.wait_for(crowd, PATIENCE)
        wait_settled(stack.settled)
        meter = Meter(stack.roots(), sink)
        parts = {name: variant(name, stack, sink, chosen, meter) for name in VARIANTS}
        stack.check_alive()
        said = line.common(chosen, stack, sink) | {
            "connections": chosen.connections,
            "seconds_per_message": chosen.seconds,
            "messages": chosen.connections * chosen.each,
            "settings": room_for(chosen),
        }
    main = parts["many_sites"]
    return line.made(
        "slow", backend, said,
        lost=sum(one.tally.lost for one in parts.values()),
        doubled=sum(one.tally.doubled for one in parts.values()),
        msgs_per_s=main.rate, cpu_ms_per_msg=main.cpu, peak_rss_mb=meter.peak_rss_mb,
        possible_msgs_per_s=chosen.connections / chosen.seconds,
        parts={name: one.told() for name, one in parts.items()},
    )  # fmt: skip


def room_for(chosen: Options) -> dict[str, object]:
    """What the settings must allow for one batch and one connection per receiver."""
    return {
        "MAILMILL_RSA": chosen.rsa,
        "MAILMILL_MAX_BATCHES": chosen.connections + chosen.connections // 10,
        "MAILMILL_DELIVER_CONNECTIONS": chosen.connections + chosen.connections // 10,
    }


@dataclass(slots=True)
class Watch:
    """Looks at the deliver worker while its connections open, wait and close."""

    worker: psutil.Process
    sink: StampingSink
    connections: int
    before: int = 0
    open_at_sink: int = 0
    open_at_worker: int = 0
    #: Memory of the worker when the most connections were open, bytes.
    most: int = 0
    looks_at: float = 0.0
    #: (instant, CPU seconds) at the first and the last look with all connections open.
    held: list[tuple[float, float]] = field(default_factory=list)

    def look(self) -> None:
        """Once a second."""
        now = time.monotonic()
        if now < self.looks_at:
            return
        self.looks_at = now + 1
        number = self.sink.connections()
        if number >= FULL * self.connections:
            self.held[1:] = [(now, sum(self.worker.cpu_times()[:2]))]
        if number and number >= FULL * self.open_at_sink:
            self.most = max(self.most, resident(self.worker))
            self.open_at_sink = max(self.open_at_sink, number)
            self.open_at_worker = max(self.open_at_worker, self.established())

    def established(self) -> int:
        """Connections to the sink's port that the worker itself holds."""
        port = self.sink.port
        found = self.worker.net_connections("tcp")
        return sum(
            1 for one in found
            if one.raddr and one.raddr.port == port and one.status == psutil.CONN_ESTABLISHED
        )  # fmt: skip

    def cores(self) -> float | None:
        """CPU of the worker while it held all connections."""
        if len(self.held) < 2:
            return None
        (from_at, from_cpu), (to_at, to_cpu) = self.held
        return round((to_cpu - from_cpu) / (to_at - from_at), 3)

    def kilobytes(self) -> float | None:
        """Memory of the worker per open connection."""
        if not self.most:
            return None
        return round((self.most - self.before) / 1024 / self.open_at_sink, 1)


@dataclass(frozen=True, slots=True)
class Part:
    """One variant."""

    rate: float
    cpu: dict[str, float]
    tally: Tally
    watch: Watch

    def told(self) -> dict[str, Any]:
        held = self.watch.held
        return {
            "msgs_per_s": self.rate,
            "connections_at_sink": self.watch.open_at_sink,
            "connections_at_worker": self.watch.open_at_worker,
            "held_seconds": round(held[-1][0] - held[0][0], 1) if held else 0.0,
            "deliver_cores": self.watch.cores(),
            "deliver_kb_per_connection": self.watch.kilobytes(),
            "cpu_ms_per_msg": self.cpu,
        }


def variant(name: str, stack: Stack, sink: StampingSink, chosen: Options, meter: Meter) -> Part:
    """Fill the spool while nothing is claimed, then let it go."""
    crowd = Crowd(
        chosen.connections * chosen.each, name[0], VARIANTS[name], spread=chosen.connections
    )
    stack.pause_dispatch()
    load.by_api(stack.url, stack.api_key, crowd, *FILL).run()
    wait_quiet(chosen.quiet)
    # Connections kept from before would hide the memory of the new ones.
    wait_until(lambda: sink.connections() == 0, PATIENCE, "the connections kept from before")
    worker = Costs({"deliver": stack.roots()["deliver"]}).roots["deliver"]
    watch = Watch(worker, sink, chosen.connections, before=resident(worker))
    say(f"slow: {chosen.connections:,} receivers, {name}")
    progress = Progress("at the sink", crowd.count)

    def meanwhile(done: int) -> None:
        meter.look()
        watch.look()
        progress.tell(done)

    meter.start()
    started_at = time.monotonic()
    stack.resume_dispatch()
    last_at = sink.wait_for(crowd, PATIENCE + chosen.seconds, meanwhile)
    wait_settled(stack.settled)
    found = tally(crowd, sink.accepted())
    # The last message came when its content was there; its reply took as long as the others'.
    elapsed = last_at - started_at + chosen.seconds
    cpu = per_message(meter.seconds(), crowd.count)
    part = Part(round(found.taken / elapsed, 1), cpu, found, watch)
    tell(f"slow {name}", part.told())
    return part
