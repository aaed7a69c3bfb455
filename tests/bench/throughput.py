"""Campaign and relay: how many messages a second, beside the peer in the same run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import fmean, harmonic_mean
from typing import Any

from tests.bench import line, load, postfix
from tests.bench.cost import total
from tests.bench.crowd import Crowd
from tests.bench.line import Line
from tests.bench.measure import MakeLoad, Measured, measure
from tests.bench.options import Options
from tests.bench.progress import say
from tests.bench.smtp_sink import SmtpSink
from tests.bench.stack import Stack


def measure_peer(chosen: Options, folder: Path) -> Measured:
    """Half of the peer's messages through the peer."""
    count = max(1, chosen.peer_count // 2)
    say(f"peer: {postfix.NAME}, {count:,} messages")
    folder.mkdir()
    with SmtpSink(folder) as sink, postfix.Peer(folder / "peer", sink) as peer:
        return measure(
            sink, partial(load.by_smtp, peer.address), peer.roots(), Crowd(count, "r"),
            warmup=min(chosen.warmup, count), quiet=chosen.quiet, settled=lambda: True,
        )  # fmt: skip


def run(bench: str, backend: str, chosen: Options, folder: Path) -> Line:
    """One line of campaign or relay, with the peer right before and right after.

    The speed of a shared machine drifts: half of the peer's messages on each side of ours see the
    same drift as ours do.
    """
    missing = postfix.why_not()
    if missing:
        say(f"no peer: {missing}")
        got, said = measure_ours(bench, backend, chosen, folder / "ours")
        return lined(bench, backend, got, said | {"peer_missing": missing}, [])
    before = measure_peer(chosen, folder / "a")
    got, said = measure_ours(bench, backend, chosen, folder / "ours")
    after = measure_peer(chosen, folder / "b")
    return lined(bench, backend, got, said, [before, after])


def measure_ours(
    bench: str, backend: str, chosen: Options, folder: Path
) -> tuple[Measured, dict[str, Any]]:
    """The figures, and the conditions they were measured under."""
    folder.mkdir()
    with (
        SmtpSink(folder) as sink,
        Stack(folder, sink, backend, settings={"MAILMILL_RSA": chosen.rsa}) as stack,
    ):
        make: MakeLoad = (
            partial(load.by_api, stack.url, stack.api_key)
            if bench == "campaign"
            else partial(load.by_smtp, stack.relay)
        )
        got = measure(
            sink, make, stack.roots(), Crowd(chosen.count, "r"), warmup=chosen.warmup,
            quiet=chosen.quiet, settled=stack.settled,
        )  # fmt: skip
        stack.check_alive()
        said = line.common(chosen, stack, sink) | {
            "messages": chosen.count,
            "peer_messages": chosen.peer_count,
            "warmup": chosen.warmup,
            "message_bytes": got.message_bytes,
            "other_cores": got.other_cores,
        }
    return got, said


def lined(
    bench: str, backend: str, got: Measured, said: dict[str, Any], peers: list[Measured]
) -> Line:
    values = asdict(got)
    del values["message_bytes"], values["other_cores"]
    peer = mean(peers)
    if peer is not None:
        said |= {
            "peer_other_cores": peer.other_cores,
            "peer_msgs_per_s_before_and_after": [one.msgs_per_s for one in peers],
        }
    return line.made(bench, backend, said, peer=peer, **values, **beside(got, peer))


def mean(runs: list[Measured]) -> Measured | None:
    """Several runs of equal size as one; None of none."""
    if not runs:
        return None
    kinds = runs[0].cpu_ms_per_msg

    def middle(values: Iterable[float]) -> float:
        return round(fmean(values), 4)

    return Measured(
        # The rate of all messages in the time of all: not the mean of the rates.
        msgs_per_s=round(harmonic_mean([one.msgs_per_s for one in runs]), 1),
        cpu_ms_per_msg={k: middle(one.cpu_ms_per_msg[k] for one in runs) for k in kinds},
        peak_rss_mb=max(one.peak_rss_mb for one in runs),
        lost=sum(one.lost for one in runs),
        doubled=sum(one.doubled for one in runs),
        message_bytes=runs[0].message_bytes,
        other_cores=middle(one.other_cores for one in runs),
    )


def beside(got: Measured, peer: Measured | None) -> dict[str, Any]:
    """More of the peer; its ratio of CPU depends on a busy machine far less than that of rates."""
    if peer is None:
        return {
            "peer_cpu_ms_per_msg": None, "peer_peak_rss_mb": None, "peer_lost": None,
            "cpu_ratio": None,
        }  # fmt: skip
    return {
        "peer_cpu_ms_per_msg": peer.cpu_ms_per_msg,
        "peer_peak_rss_mb": peer.peak_rss_mb,
        "peer_lost": peer.lost,
        "cpu_ratio": round(total(peer.cpu_ms_per_msg) / total(got.cpu_ms_per_msg), 2),
    }
