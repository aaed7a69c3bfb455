"""`manage.py forecast CAMPAIGN`: when a waiting campaign will be done under the present limits."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from mta.delivery.forecast import Forecast, forecast, is_campaign
from mta.management.output import as_json, printable, table
from mta.tenants.models import Tenant


class Command(BaseCommand):
    help = "Tell when a waiting campaign will be done under the limits in force."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("campaign", metavar="CAMPAIGN", help="its name, as it was injected")
        parser.add_argument("--tenant", help="needed when several tenants have such a campaign")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_: Any, campaign: str, **options: Any) -> None:
        found = forecast(tenant_of(campaign, options["tenant"]), campaign, timezone.now())
        if found is None:
            raise CommandError(f"nothing of the campaign {printable(campaign)} waits: it is done")
        self.stdout.write(as_json(found) if options["json"] else "\n".join(as_lines(found)))


def tenant_of(campaign: str, name: str | None) -> Tenant:
    """The tenant whose campaign it is; CommandError when that is not clear."""
    if not campaign:
        raise CommandError("CAMPAIGN: give the name of a campaign")
    if name is not None:
        tenant = Tenant.objects.filter(name=name).first()
        if tenant is None:
            raise CommandError(f"--tenant {name}: there is no tenant of this name")
        if not is_campaign(tenant, campaign):
            raise CommandError(f"CAMPAIGN: {name} has no campaign {printable(campaign)}")
        return tenant
    # One look at the index a tenant, however large the campaign is.
    having = [one for one in Tenant.objects.order_by("name") if is_campaign(one, campaign)]
    if not having:
        raise CommandError(f"CAMPAIGN: there is no campaign {printable(campaign)}")
    if len(having) > 1:
        names = ", ".join(tenant.name for tenant in having)
        raise CommandError(f"several tenants have this campaign: give --tenant, one of {names}")
    return having[0]


def as_lines(found: Forecast) -> Iterator[str]:
    yield f"{found.tenant}: {printable(found.campaign)}, {found.waiting:,} waiting"
    titles = ("to", "stream", "waiting", "done", "if stages stay", "limited by")
    rows = [
        (
            line.reach if line.known else f"{line.reach} (not looked up)", line.stream,
            line.waiting, when(line.done_at), when(line.latest_at), line.limited_by,
        )
        for line in found.lines
    ]  # fmt: skip
    if rows:
        yield ""
        yield table(titles, rows)
    if found.more_lines:
        yield f"and {found.more_lines} more that end earlier"
    yield ""
    if found.held:
        yield f"{found.held:,} are held: they wait for a person"
    if found.waiting:
        yield f"done      {when(found.done_at)}, limited by {printable(found.limited_by)}"
        yield f"latest    {when(found.latest_at)}, when warmup stages stay what they are"
    yield ""
    for assumption in found.assumptions:
        yield f"assumed: {assumption}"


def when(at: datetime | None) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC") if at else "no end in sight"
