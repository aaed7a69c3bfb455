"""`manage.py explain_path TENANT ADDRESS`: how mail would go, under which limits, and when."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from dashboard.display import ago
from dashboard.explain_path import PathTold, Stop, explain_path
from dashboard.explain_sources import SourceTold
from mta.control.refusal import Refused
from mta.management.output import as_json, printable, table


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
        yield table(
            ("limit", "value", "rule"), [(one.name, one.value, one.rule) for one in found.limits]
        )
    yield ""
    yield f"pool {found.pool}"
    if found.sources:
        titles = ("source", "pool", "address", "weight", "status", "warmup", "connections", "rate")
        yield table(titles, [source_cells(source) for source in found.sources])
    for source in found.sources:
        for name, (value, rule) in source.own_limits.items():
            yield f"  {source.name}: {name} {value} by rule {rule}"
    yield ""
    for stop in found.suspensions:
        yield f"suspended   {stop.kind} {stop.key}{told(stop)}"
    for stop in found.suppressions:
        yield f"suppressed  for {stop.key}: {stop.kind}{told(stop)}"
    when = ago(found.next.at) if found.next.at else "nobody knows when"
    yield f"next message: {when}: {printable(found.next.reason)}"


def source_cells(one: SourceTold) -> tuple[Any, ...]:
    warmup = "warm"
    if one.cap is not None:
        used = "?" if one.used is None else f"{one.used:,}"
        warmup = f"day {one.warmup_day}: {used} of {one.cap:,} used"
    held = "?" if one.connections_used is None else one.connections_used
    rate = (
        "?" if one.retry_in is None else "free" if not one.retry_in else f"in {one.retry_in:.1f} s"
    )
    status = "suspended" if one.suspended and one.status == "active" else one.status
    return (
        one.name,
        one.pool,
        one.address or "any",
        one.weight,
        status,
        warmup,
        f"{held} of {one.connections}",
        rate,
    )


def told(stop: Stop) -> str:
    reason = f" ({printable(stop.reason)})" if stop.reason else ""
    return f"{reason}, ends {ago(stop.ends_at)}" if stop.ends_at else reason
