"""Campaign and relay: how many messages a second, beside the peer in the same run."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
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


def measure_peer(chosen: Options, folder: Path) -> tuple[Measured | None, dict[str, Any]]:
    """The peer's figures, and what to say of them."""
    reason = postfix.why_not()
    if reason:
        say(f"no peer: {reason}")
        return None, {"peer_missing": reason}
    say(f"peer: {postfix.NAME}, {chosen.peer_count:,} messages")
    with SmtpSink(folder) as sink, postfix.Peer(folder / "peer", sink) as peer:
        measured = measure(
            sink, partial(load.by_smtp, peer.address), peer.roots(),
            Crowd(chosen.peer_count, "r"), warmup=min(chosen.warmup, chosen.peer_count),
            quiet=chosen.quiet, settled=lambda: True,
        )  # fmt: skip
    return measured, {
        "peer_messages": chosen.peer_count,
        "peer_other_cores": measured.other_cores,
    }


def run(
    bench: str, backend: str, chosen: Options, folder: Path,
    peer: Measured | None, peer_said: dict[str, Any],
) -> Line:  # fmt: skip
    """One line of campaign or relay."""
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
            "warmup": chosen.warmup,
            "message_bytes": got.message_bytes,
            "other_cores": got.other_cores,
        }
    values = asdict(got)
    del values["message_bytes"], values["other_cores"]
    return line.made(bench, backend, said | peer_said, peer=peer, **values, **beside(got, peer))


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
