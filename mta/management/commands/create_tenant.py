"""Makes a tenant that can send at once, and prints its secrets this once."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from mta.egress.provision import DnsRecord, Provisioned, ProvisionError, provision


class Command(BaseCommand):
    help = "Make a tenant with streams, pool, sending domains, DKIM keys and credentials."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="lower-case letters, digits and hyphens")
        parser.add_argument("--domain", action="append", default=[], dest="domains", metavar="D",
                            help="domain that it sends as; may be given again")  # fmt: skip
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_: Any, name: str, domains: list[str], **options: Any) -> None:
        try:
            made = provision(name, domains)
        except ProvisionError as error:
            raise CommandError(error.reason) from None
        self.stdout.write(as_json(made) if options["json"] else as_text(made))


def as_json(made: Provisioned) -> str:
    values = {
        "tenant": made.tenant.name,
        "api_key": made.api_key,
        "smtp_username": made.smtp_username,
        "smtp_password": made.smtp_password,
        "dns_records": [dataclasses.asdict(record) for record in made.dns_records],
    }
    return json.dumps(values)


def as_text(made: Provisioned) -> str:
    lines = [
        f"tenant         {made.tenant.name}",
        f"api_key        {made.api_key}",
        f"smtp_username  {made.smtp_username}",
        f"smtp_password  {made.smtp_password}",
        "",
        "The key and the password are shown only now: store them.",
    ]
    if made.dns_records:
        lines += ["", "Publish these DNS records:", *map(zone_line, made.dns_records)]
    return "\n".join(lines)


def zone_line(record: DnsRecord) -> str:
    """The record as a line of a zone file; strings of at most 255 octets (RFC 1035 3.3)."""
    value = record.value
    parts = [value[start : start + 255] for start in range(0, len(value), 255)]
    return f"{record.name}. IN {record.type} " + " ".join(f'"{part}"' for part in parts)
