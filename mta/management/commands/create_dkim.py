"""Makes a further DKIM key for a sending domain, and prints the record to publish."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from mta.egress.provision import ProvisionError, add_dkim_key, dkim_record, normal_domain
from mta.management.commands.create_tenant import zone_line
from mta.tenants.models import DkimAlgorithm, SendingDomain


class Command(BaseCommand):
    help = "Make a DKIM key for a sending domain; it signs from now on."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("domain", help="a sending domain of any tenant")
        parser.add_argument("--selector", default="", help="default: the next free one")
        parser.add_argument("--algorithm", default=DkimAlgorithm.RSA.value,
                            choices=DkimAlgorithm.values)  # fmt: skip
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_: Any, domain: str, selector: str, algorithm: str, **options: Any) -> None:
        try:
            name = normal_domain(domain)
            sending = SendingDomain.objects.filter(domain=name).first()
            if sending is None:
                raise ProvisionError(
                    "domain",
                    f"{name!r} is nobody's sending domain: add it first "
                    f"(create_tenant NAME --domain {name}, or POST /api/v1/domains).",
                )
            key = add_dkim_key(sending, algorithm, selector)
        except ProvisionError as error:
            raise CommandError(error.reason) from None
        record = dkim_record(sending.domain, key)
        if options["json"]:
            values = {"selector": key.selector, "algorithm": key.algorithm}
            self.stdout.write(json.dumps(values | dataclasses.asdict(record)))
        else:
            self.stdout.write(zone_line(record))
