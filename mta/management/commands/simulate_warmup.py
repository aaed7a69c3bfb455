"""`manage.py simulate_warmup`: play a warmup against expected volume, day by day."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from mta.delivery.warmup_days import gates_of
from mta.egress.models import WarmupSchedule
from mta.management.output import as_json, table
from mta.policy.simulate import Plan, Receivers, Simulation, SimulationError, simulate
from mta.policy.volume import USUAL, VolumeError, parse_shares, split
from mta.policy.warmup import WarmupError, load_templates, parse_stages
from mta.policy.warmup_gate import Gates


class Command(BaseCommand):
    help = "Play a warmup schedule against expected volume: what goes where, and when it ends."

    def add_arguments(self, parser: CommandParser) -> None:
        plan = parser.add_mutually_exclusive_group(required=True)
        plan.add_argument("--schedule", metavar="NAME", help="a schedule of the database")
        plan.add_argument(
            "--template", metavar="NAME", help=f"one of {', '.join(load_templates())}"
        )
        plan.add_argument(
            "--stages", metavar="TEXT", help="'50 100 200', or start, factor, days: '50, 2, 10'"
        )
        parser.add_argument("--volume", type=whole, default=0, help="messages that come every day")
        parser.add_argument(
            "--campaign", type=whole, default=0, help="messages that come at once on the first day"
        )
        parser.add_argument(
            "--providers", default=USUAL, metavar="NAME=SHARE,...", help="default: %(default)s"
        )
        parser.add_argument("--sources", type=whole, default=1, help="cold sources side by side")
        parser.add_argument(
            "--overflow",
            action="store_true",
            help="the excess goes over warm sources; else it waits",
        )
        parser.add_argument("--spread", type=float, help="hours of a day's cap; 0: no spread")
        parser.add_argument(
            "--arrival", type=float, default=12, help="hours in which a day's mail comes in (12)"
        )
        parser.add_argument("--delivered", type=float, default=0.98, help="share delivered (0.98)")
        parser.add_argument("--deferred", type=float, default=0.01, help="share deferred (0.01)")
        parser.add_argument("--blocked", type=float, default=0.0, help="share blocked (0)")
        parser.add_argument(
            "--bad-day", type=whole, action="append", default=[], metavar="DAY",
            help="a day on which a tenth is blocked; may be repeated",
        )  # fmt: skip
        parser.add_argument("--days", type=whole, default=0, help="default: to the end, or 30")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_: Any, **options: Any) -> None:
        try:
            found = simulate(plan_of(options))
        except (SimulationError, WarmupError, VolumeError) as error:
            raise CommandError(str(error)) from None
        if options["json"]:
            self.stdout.write(as_json(found))
        else:
            self.stdout.write("\n".join(as_lines(found, bool(options["campaign"]))))


def whole(text: str) -> int:
    """An argument that is a whole number, 0 or more; 50_000 and 50,000 are the same."""
    word = text.replace(",", "").replace("_", "")
    if not word.isascii() or not word.isdigit() or len(word) > 12:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of 0 or more")
    return int(word)


def plan_of(options: dict[str, Any]) -> Plan:
    """The plan that the arguments describe."""
    stages, spread_hours, gates = schedule_of(options)
    shares = parse_shares(options["providers"])
    return Plan(
        stages=stages,
        daily=split(options["volume"], shares),
        campaign=split(options["campaign"], shares) if options["campaign"] else {},
        sources=options["sources"],
        spread_hours=spread_hours if options["spread"] is None else options["spread"],
        arrival_hours=options["arrival"],
        overflow=options["overflow"],
        gates=gates,
        receivers=Receivers(options["delivered"], options["deferred"], options["blocked"]),
        bad_days=frozenset(options["bad_day"]),
        days=options["days"],
    )


def schedule_of(options: dict[str, Any]) -> tuple[Sequence[int], float, Gates]:
    """(stages, hours of spread, gates) of the schedule that was named."""
    if options["stages"] is not None:
        return parse_stages(options["stages"]), 12, Gates()
    if options["template"] is not None:
        templates = load_templates()
        if options["template"] not in templates:
            raise CommandError(
                f"--template {options['template']}: there are {', '.join(sorted(templates))}"
            )
        return templates[options["template"]], 12, Gates()
    row = WarmupSchedule.objects.filter(name=options["schedule"]).first()
    if row is None:
        names = ", ".join(WarmupSchedule.objects.values_list("name", flat=True)) or "none"
        raise CommandError(f"--schedule {options['schedule']}: there are {names}")
    stages = list(row.stages.values_list("per_day", flat=True))
    return stages, row.spread_hours, gates_of(row)


def as_lines(found: Simulation, is_campaign: bool) -> Iterator[str]:
    rows = [
        (
            day.number, one.provider, one.stage if one.cap is not None else "warm",
            "" if one.cap is None else one.cap, one.came, one.cold, one.overflow, one.waiting,
            f"{one.decision.move}: {one.decision.reason}",
        )
        for day in found.days
        for one in day.providers
    ]  # fmt: skip
    titles = ("day", "provider", "stage", "cap", "came", "cold", "overflow", "waiting", "then")
    yield table(titles, rows)
    yield ""
    for name, number in sorted(found.warm_from.items()):
        yield f"{name} is warm from day {number}"
    if is_campaign:
        ends = found.campaign_ends
        yield f"the campaign ends on day {ends}" if ends else "the campaign does not end"
