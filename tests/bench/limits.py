"""Limits: the campaign with every limit on, none of which binds, against the same with none.

Rule 1: both in turn, on one running stack: off, on, off, on, off with two rounds. What drifts
        steadily, such as the machine's speed or the size of the spool, weighs on both alike.
Rule 2: each turn is warm before its clock starts: limits are remembered, rules compiled.
Rule 3: with the limits on, one recipient in ten is engaged, and what was counted is looked up: a
        limit that nobody asked would cost nothing and prove nothing.
"""

from __future__ import annotations

import json
import time
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench import line, load
from tests.bench.cost import total
from tests.bench.crowd import Crowd
from tests.bench.line import Line
from tests.bench.measure import Measured, timed, warm_up
from tests.bench.options import Options
from tests.bench.progress import say, tell
from tests.bench.smtp_sink import SmtpSink
from tests.bench.stack import Stack
from tests.bench.throughput import mean

#: One recipient in so many is engaged while limits are on.
ENGAGED = 10
#: Every process has heard of a change after so many seconds.
HEARD_SECONDS = 6.0
MODULE = "tests.bench.all_limits"


def turns(rounds: int) -> tuple[str, ...]:
    """The order: each turn with limits stands between two without."""
    return ("off", *("on", "off") * rounds)


def run(backend: str, chosen: Options, folder: Path) -> Line:
    """One line: both, and the ratio of their rates and of their CPU."""
    with (
        SmtpSink(folder) as sink,
        Stack(folder, sink, backend, settings={"MAILMILL_RSA": chosen.rsa}) as stack,
    ):
        bench = Turns(sink, stack, chosen)
        for at, state in enumerate(turns(chosen.rounds)):
            bench.turn(at, state)
        stack.check_alive()
        said = line.common(chosen, stack, sink) | {
            "messages": chosen.count, "warmup": chosen.warmup, "turns": list(turns(chosen.rounds)),
            "message_bytes": bench.runs["on"][0].message_bytes, "limits": bench.keys,
        }  # fmt: skip
    parts = {state: told(runs) for state, runs in bench.runs.items()}
    return line.made(
        "limits", backend, said,
        lost=sum(one.lost for runs in bench.runs.values() for one in runs),
        doubled=sum(one.doubled for runs in bench.runs.values() for one in runs),
        msgs_per_s=parts["on"]["msgs_per_s"], cpu_ms_per_msg=parts["on"]["cpu_ms_per_msg"],
        peak_rss_mb=parts["on"]["peak_rss_mb"], parts=parts, **ratios(parts),
    )  # fmt: skip


def ratios(parts: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What limits leave of the rate, and what they make of the CPU of a message."""

    def ratio(name: str) -> float:
        return round(parts["on"][name] / parts["off"][name], 3)

    return {"rate_ratio": ratio("msgs_per_s"), "cpu_ratio": ratio("cpu_total_ms_per_msg")}


def told(runs: list[Measured]) -> dict[str, Any]:
    """All turns of one state, together and one by one."""
    whole = mean(runs)
    assert whole is not None
    return {
        "msgs_per_s": whole.msgs_per_s,
        "cpu_ms_per_msg": whole.cpu_ms_per_msg,
        "cpu_total_ms_per_msg": round(total(whole.cpu_ms_per_msg), 4),
        "peak_rss_mb": whole.peak_rss_mb,
        "each_msgs_per_s": [one.msgs_per_s for one in runs],
        "each_cpu_ms_per_msg": [round(total(one.cpu_ms_per_msg), 4) for one in runs],
        "other_cores": whole.other_cores,
    }


class Turns:
    """The turns, on one running stack."""

    def __init__(self, sink: SmtpSink, stack: Stack, chosen: Options) -> None:
        self.sink, self.stack, self.chosen = sink, stack, chosen
        self.runs: dict[str, list[Measured]] = {"off": [], "on": []}
        #: Keys of the limits that were in use.
        self.keys: list[str] = []
        self.sent = 0

    def turn(self, at: int, state: str) -> None:
        """Set the limits, warm up, measure."""
        chosen = self.chosen
        # Twice what all turns with limits send: none of them binds.
        room = 2 * chosen.rounds * (chosen.count + chosen.warmup)
        self.stack.python(MODULE, state, str(room))
        time.sleep(HEARD_SECONDS)
        engaged = ("--engaged", str(ENGAGED)) if state == "on" else ()
        make = partial(self.campaign, options=engaged)
        warm_up(self.sink, make, Crowd(chosen.warmup, f"w{at}x"), self.stack.settled)
        say(f"limits {state}: {chosen.count:,} messages")
        crowd = Crowd(chosen.count, f"t{at}x")
        got = timed(
            self.sink, make(crowd), self.stack.roots(), crowd,
            quiet=chosen.quiet, settled=self.stack.settled,
        )  # fmt: skip
        self.runs[state].append(got)
        tell(f"limits {state}", told([got]))
        if state == "on":
            self.sent += chosen.count + chosen.warmup
            self.check()

    def campaign(self, crowd: Crowd, options: tuple[str, ...]) -> load.Load:
        return load.by_api(self.stack.url, self.stack.api_key, crowd, *options)

    def check(self) -> None:
        """AssertionError when the limits did not count what was sent."""
        used = json.loads(self.stack.python(MODULE, "used"))
        self.keys = used["limits"]
        if not used["warmup"] or not used["quota"]:
            raise AssertionError(f"limits are on and count nothing of {self.sent:,}: {used}")
