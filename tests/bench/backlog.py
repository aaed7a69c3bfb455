"""Backlog: what a message costs while a million others wait, against a thousand.

Rule 1: a backlog is handed in by the API while the process that claims is stopped (SIGSTOP), as in
        a maintenance; when it goes on, all of it is due and every batch can be a full one, in the
        large backlog and in the small ones alike.
Rule 2: the clock runs from that instant until what was claimed is settled, so that no work is
        counted for messages that are not. In the large backlog claiming stops after N messages.
Rule 3: mail that is not due must not cost either: the second shape is a campaign beside a million
        messages with a send_at, against the same campaign before they came.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench import line, load
from tests.bench.cost import per_message, total, wait_quiet
from tests.bench.crowd import Crowd, Tally, tally
from tests.bench.line import Line
from tests.bench.measure import PATIENCE, Measured, Meter, timed, wait_settled, warm_up
from tests.bench.options import Options
from tests.bench.progress import Progress, say, tell
from tests.bench.smtp_sink import SmtpSink
from tests.bench.stack import Stack

#: Options of the injector when nobody measures it.
FILL = ("--lazy", "--clients", "4")
#: Lanes that share half of the mail that is not due; the other half is the campaign's own lane.
OTHER_LANES = 100
WAITING = "SELECT count(*) FROM spool_recipient WHERE state IN ('scheduled', 'deferred')"
PUT_OFF = "SELECT 1 FROM spool_lane WHERE hold_reason <> '' LIMIT 1"


def run(backend: str, chosen: Options, folder: Path) -> Line:
    """One line of both shapes, each on a stack of its own."""
    due = shape("due", backend, chosen, folder)
    later = shape("later", backend, chosen, folder)
    parts = [*due.tallies, *later.tallies]
    ratios = [due.found["cpu_ratio"], later.found["cpu_ratio"]]
    return line.made(
        "backlog", backend, due.said,
        lost=sum(one.lost for one in parts), doubled=sum(one.doubled for one in parts),
        msgs_per_s=due.found["msgs_per_s"], cpu_ms_per_msg=due.found["cpu_ms_per_msg"],
        peak_rss_mb=max(due.found["peak_rss_mb"], later.found["peak_rss_mb"]),
        cpu_ratio=max(ratios), due=due.found, later=later.found,
    )  # fmt: skip


def shape(name: str, backend: str, chosen: Options, folder: Path) -> Backlog:
    place = folder / name
    place.mkdir()
    with (
        SmtpSink(place) as sink,
        Stack(place, sink, backend, settings={"MAILMILL_RSA": chosen.rsa}) as stack,
    ):
        bench = Backlog(sink, stack, chosen)
        warm_up(sink, bench.campaign, Crowd(chosen.warmup, "w"), stack.settled)
        bench.found = bench.all_due() if name == "due" else bench.beside_later()
        stack.check_alive()
        tell(f"backlog {name}", bench.found)
        bench.said = line.common(chosen, stack, sink) | {
            "messages": chosen.count, "waiting": chosen.waiting, "small": chosen.small,
        }  # fmt: skip
    return bench


@dataclass(frozen=True, slots=True)
class Cost:
    """What some messages cost."""

    messages: int
    seconds: dict[str, float]
    elapsed: float

    def per_message(self) -> dict[str, float]:
        return per_message(self.seconds, self.messages)

    def told(self) -> dict[str, Any]:
        cpu = self.per_message()
        return {
            "msgs_per_s": round(self.messages / self.elapsed, 1),
            "cpu_ms_per_msg": cpu,
            "cpu_total_ms_per_msg": round(total(cpu), 4),
            "measured": self.messages,
        }


class Backlog:
    """The parts of the bench, on one running stack."""

    def __init__(self, sink: SmtpSink, stack: Stack, chosen: Options) -> None:
        self.sink, self.stack, self.chosen = sink, stack, chosen
        self.campaign = partial(load.by_api, stack.url, stack.api_key)
        self.meter = Meter(stack.roots(), sink)
        self.tallies: list[Tally] = []
        self.found: dict[str, Any] = {}
        self.said: dict[str, Any] = {}

    def fill(self, crowd: Crowd, *options: str) -> float:
        """Hand in what shall wait; how many a second went in."""
        started_at = time.monotonic()
        injector = self.campaign(crowd, *FILL, *options)
        injector.prepare()
        injector.go()
        while not injector.ended:
            self.meter.look()
            time.sleep(0.2)
        injector.finish()
        return round(crowd.count / (time.monotonic() - started_at), 1)

    def all_due(self) -> dict[str, Any]:
        """A million messages due at once against a thousand, drained again and again."""
        rounds = max(1, self.chosen.count // self.chosen.small)
        say(f"backlog: {rounds} times {self.chosen.small:,} waiting")
        wait_quiet(self.chosen.quiet)
        small = self.small_ones(rounds)
        say(f"backlog: {self.chosen.waiting:,} waiting")
        self.meter.megabytes = 0.0
        large, rate = self.large_one()
        return large.told() | {
            "small": small.told(),
            "cpu_ratio": round(total(large.per_message()) / total(small.per_message()), 3),
            "fill_msgs_per_s": rate,
            "peak_rss_mb": self.meter.peak_rss_mb,
            **self.resumed(),
        }

    def small_ones(self, rounds: int) -> Cost:
        seconds: dict[str, float] = {}
        elapsed = 0.0
        for number in range(rounds):
            crowd = Crowd(self.chosen.small, f"s{number}s")
            self.stack.pause_dispatch()
            self.fill(crowd)
            started_at = time.monotonic()
            self.meter.start()
            self.stack.resume_dispatch()
            elapsed += self.sink.wait_for(crowd, PATIENCE) - started_at
            wait_settled(self.stack.settled)
            for kind, used in self.meter.seconds().items():
                seconds[kind] = seconds.get(kind, 0.0) + used
            self.tallies.append(tally(crowd, self.sink.accepted()))
        return Cost(rounds * self.chosen.small, seconds, elapsed)

    def large_one(self) -> tuple[Cost, float]:
        """The cost of the first N messages of a large backlog, and how quickly it came in."""
        crowd = Crowd(self.chosen.waiting, "l")
        self.stack.pause_dispatch()
        rate = self.fill(crowd)
        wait_quiet(self.chosen.quiet)
        progress = Progress("at the sink", self.chosen.count)

        def meanwhile(done: int) -> None:
            self.meter.look()
            progress.tell(done)

        started_at = time.monotonic()
        self.meter.start()
        self.stack.resume_dispatch()
        self.sink.wait_for_count(min(self.chosen.count, crowd.count), PATIENCE, meanwhile)
        self.stack.pause_dispatch()
        seconds, elapsed = self.meter.seconds(), time.monotonic() - started_at
        waiting = self.stack.ask("sql", query=WAITING)[0][0]
        self.large = tally(crowd, self.sink.accepted(), still_waiting=waiting)
        self.tallies.append(self.large)
        return Cost(max(1, self.large.taken), seconds, elapsed), rate

    def resumed(self) -> dict[str, Any]:
        """How long a person waits who resumes a suspended tenant with this backlog, seconds.

        None where a small backlog was gone already.
        """
        if not self.stack.ask("sql", query=WAITING)[0][0]:
            self.stack.resume_dispatch()
            return {"resume_command_s": None, "resume_to_first_message_s": None}
        self.stack.manage("suspend", "acme", "--scope", "tenant")
        self.stack.resume_dispatch()
        ends_at = time.monotonic() + PATIENCE
        while not self.stack.ask("sql", query=PUT_OFF) and time.monotonic() < ends_at:
            time.sleep(0.2)
        started_at = time.monotonic()
        self.stack.manage("resume", "acme", "--scope", "tenant")
        said_at = time.monotonic()
        first_at = self.sink.wait_for_count(1, PATIENCE)
        return {
            "resume_command_s": round(said_at - started_at, 1),
            "resume_to_first_message_s": round(first_at - started_at, 1),
        }

    def beside_later(self) -> dict[str, Any]:
        """A campaign before, and beside a million messages that are not due."""
        say(f"backlog: a campaign of {self.chosen.count:,} with nothing waiting")
        before = self.campaign_of("b")
        share = self.chosen.waiting // 2
        say(f"backlog: the same beside {self.chosen.waiting:,} that are not due")
        rate = self.fill(Crowd(share, "f"), "--in-days", "2")
        others = Crowd(self.chosen.waiting - share, "g", spread=OTHER_LANES)
        self.fill(others, "--in-days", "2")
        beside = self.campaign_of("c")
        ratio = total(beside.cpu_ms_per_msg) / total(before.cpu_ms_per_msg)
        return {
            "msgs_per_s": beside.msgs_per_s,
            "cpu_ms_per_msg": beside.cpu_ms_per_msg,
            "cpu_total_ms_per_msg": round(total(beside.cpu_ms_per_msg), 4),
            "before": {
                "msgs_per_s": before.msgs_per_s,
                "cpu_ms_per_msg": before.cpu_ms_per_msg,
                "cpu_total_ms_per_msg": round(total(before.cpu_ms_per_msg), 4),
            },
            "cpu_ratio": round(ratio, 3),
            "fill_msgs_per_s": rate,
            "peak_rss_mb": max(beside.peak_rss_mb, self.meter.peak_rss_mb),
        }

    def campaign_of(self, tag: str) -> Measured:
        crowd = Crowd(self.chosen.count, tag)
        got = timed(
            self.sink, self.campaign(crowd), self.stack.roots(), crowd,
            quiet=self.chosen.quiet, settled=self.stack.idle,
        )  # fmt: skip
        self.tallies.append(Tally(crowd.count - got.lost, got.lost, got.doubled))
        return got
