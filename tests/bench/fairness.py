"""Fairness: how long a tenant's single message waits where another has a hundred thousand waiting.

Rule 1: both write to one site. The other's mail is handed in while nothing is claimed, then all of
        it is due; the clock of a single message runs from the 202 to the end of its content at the
        receiver, whose 250 follows at once.
Rule 2: without a limit only what is accepted while the other's mail still drains is counted.
Rule 3: behind a limit the time is the limit's: what counts is how many messages of others the
        receiver took meanwhile. Single messages are so far apart that each finds none before it.
Rule 4: every other one goes by the bulk stream, as the other's do, so that only the tenant differs.
"""

from __future__ import annotations

import json
import time
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench import line, load
from tests.bench.backlog import FILL, WAITING
from tests.bench.cost import per_message, wait_quiet
from tests.bench.crowd import Crowd, Tally, tally
from tests.bench.latency import BUSY_GAPS, Instants
from tests.bench.line import Line
from tests.bench.measure import PATIENCE, Meter, wait_settled, warm_up
from tests.bench.options import Options
from tests.bench.percentiles import delays, summary
from tests.bench.progress import Progress, say, tell
from tests.bench.stack import Stack
from tests.bench.stamping_sink import StampingSink

STREAMS = ("--streams", "transactional,bulk")
#: Seconds between single messages behind a limit: more than five tokens.
LIMITED_GAPS = ("--least-gap", "1.2", "--most-gap", "2.4")
#: The limit of the limited site.
PER_SECOND, BURST = 5.0, 1
FREE, LIMITED = "free.test", "limited.test"
#: Messages of the other tenant that the limited site takes before the first single one.
BEFORE = 20


def run(backend: str, chosen: Options, folder: Path) -> Line:
    """One line of both sites, on one stack."""
    with (
        StampingSink(folder) as sink,
        Stack(folder, sink, backend, settings={"MAILMILL_RSA": chosen.rsa}) as stack,
    ):
        bench = Fairness(sink, stack, chosen)
        unlimited = bench.unlimited()
        tell("fairness unlimited", unlimited)
        limited = bench.limited()
        tell("fairness limited", limited)
        said = line.common(chosen, stack, sink) | {
            "messages": chosen.others, "waiting": chosen.others, "probes": chosen.probes,
            "per_second": PER_SECOND, "burst": BURST,
        }  # fmt: skip
    return line.made(
        "fairness", backend, said,
        lost=sum(one.lost for one in bench.tallies), doubled=sum(t.doubled for t in bench.tallies),
        msgs_per_s=unlimited["msgs_per_s"], cpu_ms_per_msg=unlimited["cpu_ms_per_msg"],
        peak_rss_mb=bench.meter.peak_rss_mb, unlimited=unlimited, limited=limited,
    )  # fmt: skip


class Fairness:
    """The parts of the bench, on one running stack; acme sends single messages."""

    def __init__(self, sink: StampingSink, stack: Stack, chosen: Options) -> None:
        self.sink, self.stack, self.chosen = sink, stack, chosen
        self.tallies: list[Tally] = []
        key = stack.ask("make_tenant", name="bulky", domain="bulky.test")["api_key"]
        stack.ask(
            "shape", match_kind="site", match=LIMITED, messages_per_second=PER_SECOND, burst=BURST
        )
        self.bulk = partial(load.by_api, stack.url, key)
        self.meter = Meter(stack.roots(), sink)

    def fill(self, crowd: Crowd) -> None:
        """The other tenant's mail, none of it claimed."""
        self.stack.pause_dispatch()
        say(f"fairness: {crowd.count:,} waiting for {crowd.domain}")
        self.bulk(crowd, "--sender", "bulky.test", *FILL).run()

    def prober(self, crowd: Crowd, *gaps: str) -> load.Load:
        stack = self.stack
        return load.probe("api", stack.http, stack.api_key, crowd, *STREAMS, *gaps)

    def unlimited(self) -> dict[str, Any]:
        """Single messages while the other's mail drains as fast as it goes."""
        sender = ("--sender", "bulky.test")
        bulk = partial(self.bulk)
        warm_up(
            self.sink, lambda crowd: bulk(crowd, *sender), Crowd(self.chosen.warmup, "w", FREE),
            self.stack.settled,
        )  # fmt: skip
        others = Crowd(self.chosen.others, "o", FREE)
        self.fill(others)
        prober = self.prober(Crowd(0, "s", FREE), *BUSY_GAPS)
        prober.prepare()
        wait_quiet(self.chosen.quiet)
        progress = Progress("at the unlimited site", others.count)

        def meanwhile(done: int) -> None:
            self.meter.look()
            progress.tell(done)

        self.meter.start()
        started_at = time.monotonic()
        self.stack.resume_dispatch()
        prober.go(keep=True)
        ended_at = self.sink.wait_for(others, PATIENCE, meanwhile)
        printed, _ = prober.finish()
        instants: Instants = json.loads(printed)
        singles = Crowd(len(instants), "s", FREE)
        self.sink.wait_for(singles, PATIENCE)
        wait_settled(self.stack.settled)
        cpu = per_message(self.meter.seconds(), others.count + singles.count)
        stamps = self.sink.stamps
        last = max((stamps[who] for who in others if who in stamps), default=0)
        beside = {who: pair for who, pair in instants.items() if pair[1] < last}
        taken = tally(others, self.sink.accepted())
        self.tallies += [taken, tally(singles, self.sink.accepted())]
        return self.waits(beside) | {
            "msgs_per_s": round(taken.taken / (ended_at - started_at), 1),
            "cpu_ms_per_msg": cpu,
        }

    def limited(self) -> dict[str, Any]:
        """Single messages where the other's mail waits for a rate."""
        others = Crowd(self.chosen.others, "o", LIMITED)
        self.fill(others)
        singles = Crowd(self.chosen.probes, "s", LIMITED)
        prober = self.prober(singles, *LIMITED_GAPS)
        prober.prepare()
        wait_quiet(self.chosen.quiet)
        say(f"fairness: {singles.count} single messages behind {PER_SECOND:g} a second")
        self.stack.resume_dispatch()
        self.sink.wait_for_count(min(BEFORE, others.count), PATIENCE)
        prober.go()
        instants: Instants = json.loads(prober.finish()[0])
        self.sink.wait_for(singles, PATIENCE)
        self.stack.pause_dispatch()
        self.stack.check_alive()
        accepted = self.sink.accepted()
        waiting = self.stack.ask("sql", query=WAITING)[0][0]
        mine = tally(singles, accepted)
        # Of a single message that did not come nothing is known: it counts as lost, not as waiting.
        self.tallies += [mine, tally(others, accepted, still_waiting=waiting - mine.lost)]
        stamps = {
            who: at for who, at in self.sink.stamps.items() if who.endswith(f"@{LIMITED}")
        }  # fmt: skip
        before = taken_before(instants, stamps)
        return self.waits(instants) | {
            "most_others": max(before, default=None),
            "mean_others": round(sum(before) / len(before), 2) if before else None,
            "others": before,
            "msgs_per_s": rate(list(stamps.values())),
        }

    def waits(self, instants: Instants) -> dict[str, Any]:
        """Delays of single messages, of all and by stream."""
        stamps = self.sink.stamps
        streams = STREAMS[1].split(",")
        found = {"accepted_to_sink": summary(delays(instants, stamps, 1))}
        for at, stream in enumerate(streams):
            ours = {
                who: pair for number, (who, pair) in enumerate(instants.items())
                if number % len(streams) == at
            }  # fmt: skip
            found[stream] = summary(delays(ours, stamps, 1))
        return found


def taken_before(instants: Instants, stamps: Mapping[str, int]) -> list[int]:
    """For each single message that came: how many others came after its 202 and before it."""
    ordered = sorted(stamps.values())
    return [
        max(0, bisect_left(ordered, stamps[who]) - bisect_right(ordered, accepted_at))
        for who, (_, accepted_at) in instants.items()
        if who in stamps
    ]


def rate(stamps: list[int]) -> float | None:
    """Messages a second from the first to the last; nanoseconds go in."""
    if len(stamps) < 2:
        return None
    return round((len(stamps) - 1) * 1e9 / (max(stamps) - min(stamps)), 2)
