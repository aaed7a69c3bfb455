"""`manage.py explain_path TENANT ADDRESS`: how mail would go, under which limits, and when."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from dashboard.display import ago
from dashboard.explain_next import Stop
from dashboard.explain_path import PathTold, explain_path
from dashboard.explain_sources import SourceTold
from dashboard.explain_use import UseTold
from mta.control.refusal import Refused
from mta.management.output import as_json, printable, table

#: What a value says when no rule sets it, besides none.
NOTHING = {"retry_steps": "the stream's", "life_hours": "the stream's"}


class Command(BaseCommand):
    help = "Show how mail of a tenant to an address would go: site, limits, sources, and when."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("tenant", metavar="TENANT", help="name of the tenant")
        parser.add_argument("address", metavar="ADDRESS", help="such as ann@example.com")
        parser.add_argument("--stream", default="", help="default: the tenant's default stream")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_: Any, tenant: str, address: str, **options: Any) -> None:
        try:
            found = explain_path(tenant, address, stream=options["stream"])
        except Refused as refused:
            raise CommandError(str(refused)) from None
        self.stdout.write(as_json(found) if options["json"] else "\n".join(as_lines(found)))


def as_lines(found: PathTold) -> Iterator[str]:
    yield f"{found.tenant}/{found.stream} to {found.address}"
    if found.dns_error:
        yield f"DNS       {printable(found.dns_error)}"
    else:
        yield f"site      {found.site}"
        yield f"provider  {found.provider or 'none known'}"
        for host in found.mx:
            yield f"MX        {host.preference:>5} {host.host} {' '.join(host.addresses)}"
        yield ""
        yield table(("limit", "value", "rule"), list(limit_cells(found)))
    yield ""
    yield f"pool {found.pool}"
    if found.sources:
        titles = ("source", "pool", "address", "weight", "status", "warmup", "may go now")
        yield table(titles, [source_cells(source) for source in found.sources])
    for source in found.sources:
        yield from source_lines(source)
    yield ""
    for stop in found.suspensions:
        yield f"suspended   {stop.kind} {stop.key}{told(stop)}"
    for stop in found.suppressions:
        yield f"suppressed  for {stop.key}: {stop.kind}{told(stop)}"
    for lane in found.lanes:
        until = f"waits, {ago(lane.wait_until)}: " if lane.wait_until else "goes on: "
        yield f"lane        {lane.urgency}: {until}{printable(lane.reason) or 'nothing holds it'}"
    when = ago(found.next.at) if found.next.at else "nobody knows when"
    yield f"next message: {when}: {printable(found.next.reason)}"


def limit_cells(found: PathTold) -> Iterator[tuple[str, Any, str]]:
    """Each value; what holds for all sites of the provider together has a line of its own."""
    for one in found.limits:
        if one.across is None or one.across_rule != one.rule:
            yield one.name, one.value or NOTHING.get(one.name, "none"), one.rule
        if one.across is not None:
            yield f"{one.name}, all of {found.provider}", one.across or "none", one.across_rule


def source_cells(one: SourceTold) -> tuple[Any, ...]:
    warmup = "warm"
    if one.cap is not None:
        used = "?" if one.used is None else f"{one.used:,}"
        warmup = f"stage {one.warmup_stage}: {used} of {one.cap:,} used"
    free = "any number" if one.free is None else f"{one.free:,}"
    now = "?" if one.retry_in is None else f"in {one.retry_in:.1f} s" if one.retry_in else free
    status = "suspended" if one.suspended and one.status == "active" else one.status
    return one.name, one.pool, one.address or "any", one.weight, status, warmup, now


def source_lines(one: SourceTold) -> Iterator[str]:
    """What is special about a source, and how much of each limit is left."""
    for name, (value, rule) in one.own_limits.items():
        yield f"  {one.name}: {name} {value} by rule {rule}"
    if one.throttle is not None:
        until = f"until {ago(one.throttle.until)}" if one.throttle.until else "for a while"
        yield f"  {one.name}: throttled {until}: {printable(one.throttle.reason)}"
    if one.uses:
        yield ""
        yield table(
            ("limit", "of", "most", "free now", "rule"),
            [(use.what, use.of, most(use), free(use), use.rule) for use in one.uses],
        )


def most(use: UseTold) -> str:
    return f"{use.most:,g}" + (f", burst {use.burst:,}" if use.burst is not None else "")


def free(use: UseTold) -> str:
    return f"in {use.retry_in:.1f} s" if use.retry_in else f"{use.free:,}"


def told(stop: Stop) -> str:
    reason = f" ({printable(stop.reason)})" if stop.reason else ""
    return f"{reason}, ends {ago(stop.ends_at)}" if stop.ends_at else reason
