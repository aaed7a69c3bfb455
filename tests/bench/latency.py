"""Latency: from "accepted" to the end of the message at the sink, idle and beside a campaign."""

from __future__ import annotations

import json
import time
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench import line, load
from tests.bench.cost import per_message, wait_quiet
from tests.bench.crowd import Crowd, Tally, tally
from tests.bench.line import Line
from tests.bench.measure import PATIENCE, Meter, wait_settled, warm_up
from tests.bench.options import Options
from tests.bench.percentiles import delays, summary
from tests.bench.progress import Progress, say
from tests.bench.stack import Stack
from tests.bench.stamping_sink import StampingSink

WARMUP = 30
#: Seconds between the messages beside a campaign, about.
BUSY_GAPS = ("--least-gap", "0.08", "--most-gap", "0.12")
BULK = "bulk.test"
Instants = dict[str, tuple[int, int]]


def run(backend: str, chosen: Options, folder: Path) -> Line:
    """One line: idle by the API and by SMTP, then busy by the API."""
    with (
        StampingSink(folder) as sink,
        Stack(folder, sink, backend, settings={"MAILMILL_RSA": chosen.rsa}) as stack,
    ):
        bench = Latency(sink, stack, chosen)
        idle = {door: bench.idle(door) for door in ("api", "smtp")}
        busy, campaign = bench.busy()
        stack.check_alive()
        said = line.common(chosen, stack, sink) | {
            "messages": chosen.latency,
            "campaign_messages": chosen.busy,
        }
    return line.made(
        "latency", backend, said,
        lost=sum(one.lost for one in bench.tallies), doubled=sum(t.doubled for t in bench.tallies),
        idle=idle["api"], idle_by_smtp=idle["smtp"], busy=busy, **campaign,
    )  # fmt: skip


class Latency:
    """The parts of the bench, on one running stack."""

    def __init__(self, sink: StampingSink, stack: Stack, chosen: Options) -> None:
        self.sink, self.stack, self.chosen = sink, stack, chosen
        self.tallies: list[Tally] = []

    def probe(self, door: str, crowd: Crowd, *options: str) -> load.Load:
        address = self.stack.http if door == "api" else self.stack.relay
        return load.probe(door, address, self.stack.api_key, crowd, *options)

    def idle(self, door: str) -> dict[str, Any]:
        """Single messages at random gaps of 20 to 100 ms, while nothing else is to do."""
        warm_up(self.sink, partial(self.probe, door), Crowd(WARMUP, f"w{door}"), self.stack.settled)
        say(f"latency: {self.chosen.latency} single messages by {door}")
        crowd = Crowd(self.chosen.latency, f"i{door}")
        prober = self.probe(door, crowd)
        prober.prepare()
        wait_quiet(self.chosen.quiet)
        prober.go()
        printed, _ = prober.finish()
        return self.judged(crowd, json.loads(printed))

    def judged(self, crowd: Crowd, instants: Instants) -> dict[str, Any]:
        """The delays of a crowd that was handed in."""
        self.sink.wait_for(crowd, PATIENCE)
        self.tallies.append(tally(crowd, self.sink.accepted()))
        wait_settled(self.stack.settled)
        stamps = self.sink.stamps
        return {
            "accepted_to_sink": summary(delays(instants, stamps, 1)),
            "sent_to_sink": summary(delays(instants, stamps, 0)),
            "sent_to_accepted": summary([(pair[1] - pair[0]) / 1e6 for pair in instants.values()]),
        }

    def busy(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The delays while another tenant's campaign drains; what is said of the campaign."""
        key = self.stack.ask("make_tenant", name="bulky", domain="bulky.test")["api_key"]
        campaign = Crowd(self.chosen.busy, "c", BULK)
        sender = ("--sender", "bulky.test", "--lazy")
        bulk = load.by_api(self.stack.url, key, campaign, *sender)
        prober = self.probe("api", Crowd(0, "b"), *BUSY_GAPS)
        bulk.prepare()
        prober.prepare()
        wait_quiet(self.chosen.quiet)
        say(f"latency: single messages beside a campaign of {campaign.count:,}")
        meter, progress = Meter(self.stack.roots(), self.sink), Progress("busy", campaign.count)

        def meanwhile(done: int) -> None:
            meter.look()
            progress.tell(done)

        started_at = time.monotonic()
        bulk.go()
        prober.go(keep=True)
        ended_at = self.sink.wait_for(campaign, PATIENCE, meanwhile)
        printed, _ = prober.finish()
        bulk.finish()
        instants: Instants = json.loads(printed)
        found = self.judged(Crowd(len(instants), "b"), instants)
        seconds = meter.seconds()
        taken = tally(campaign, self.sink.accepted())
        self.tallies.append(taken)
        return found, {
            "msgs_per_s": round(taken.taken / (ended_at - started_at), 1),
            "cpu_ms_per_msg": per_message(seconds, campaign.count + len(instants)),
            "peak_rss_mb": meter.peak_rss_mb,
        }
