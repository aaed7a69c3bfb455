"""`manage.py decisions`: what the system and people decided, and why."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from mta.control.refusal import Refused
from mta.control.selection import duration
from mta.events.models import Decision
from mta.management.output import as_json, printable, table
from mta.storage.fields import now_ms
from mta.tenants.models import Tenant


class Command(BaseCommand):
    help = "What the system and people decided, the newest first."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--since", default="1d", metavar="DURATION", help="default: 1d")
        parser.add_argument("--kind", default="", help="such as hold, move, suspend")
        parser.add_argument("--actor", default="", help="a person, or a part of the system")
        parser.add_argument("--tenant", default="", metavar="NAME")
        parser.add_argument("--source", default="", metavar="NAME")
        parser.add_argument("--limit", type=int, default=50, metavar="N", help="most lines; 50")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_: Any, **options: Any) -> None:
        try:
            rows = chosen(options)
        except Refused as refused:
            raise CommandError(str(refused)) from None
        found = [told(row) for row in rows]
        if options["json"]:
            self.stdout.write(as_json({"decisions": found}))
        elif not found:
            self.stdout.write("Nothing was decided.")
        else:
            self.stdout.write(as_table(found))


def chosen(options: dict[str, Any]) -> list[Decision]:
    if options["limit"] < 1:
        raise Refused("--limit", "give at least 1.")
    since = now_ms() - round(duration(options["since"], "--since") * 1000)
    rows = Decision.objects.filter(at__gte=since).select_related("tenant").order_by("-id")
    if options["tenant"]:
        if not Tenant.objects.filter(name=options["tenant"]).exists():
            raise Refused("--tenant", f"there is no tenant named {options['tenant']!r}.")
        rows = rows.filter(tenant__name=options["tenant"])
    for name in ("kind", "actor", "source"):
        if options[name]:
            rows = rows.filter(**{name: options[name]})
    return list(rows[: options["limit"]])


def told(row: Decision) -> dict[str, Any]:
    return {
        "id": row.pk,
        "at": row.at,
        "kind": row.kind,
        "actor": row.actor,
        "tenant": row.tenant.name if row.tenant else "",
        "source": row.source,
        "provider": row.provider,
        "site": row.site,
        "campaign": row.campaign,
        "count": row.count,
        "reason": row.reason,
        "data": json.loads(row.data),
    }


def as_table(found: list[dict[str, Any]]) -> str:
    titles = ("AT (UTC)", "KIND", "BY", "ABOUT", "COUNT", "WHY")
    lines = []
    for one in found:
        about = [one[name] for name in ("tenant", "source", "provider", "site", "campaign")]
        lines.append(
            (
                f"{one['at']:%Y-%m-%d %H:%M:%S}",
                one["kind"],
                one["actor"],
                " ".join(word for word in about if word),
                "" if one["count"] is None else one["count"],
                printable(one["reason"]),
            )
        )
    return table(titles, lines)
