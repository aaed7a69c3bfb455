"""A process inside a stack's environment that does what a test asks, one JSON line at a time.

The test process has its own database; this one has the stack's, and uses the product as an app
would: it provisions tenants, injects mail and reads the spool.
"""

from __future__ import annotations

import io
import json
import os
import sys
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mta.settings")
import django

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402

from mta.egress.models import Pool, PoolMember, ShapingRule, Source  # noqa: E402
from mta.egress.provision import provision  # noqa: E402
from mta.mail.address import parse_address  # noqa: E402
from mta.mail.compose import Spec  # noqa: E402
from mta.spool.inject import NewMessage, NewRecipient, inject  # noqa: E402
from mta.tenants.models import DkimKey, Tenant  # noqa: E402

RAW = (
    b"From: News <news@acme.test>\r\nTo: You <you@example.org>\r\nSubject: Hello\r\n"
    b"Date: Sat, 21 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@acme.test>\r\n"
    b"\r\nHello, this is news.\r\n"
)


def make_tenant(name: str, domain: str) -> dict[str, Any]:
    """A tenant; its secrets, and the DNS names and TXT records of its keys."""
    made = provision(name, [domain])
    keys = DkimKey.objects.filter(sending_domain__domain=domain)
    return {
        "api_key": made.api_key,
        "smtp_username": made.smtp_username,
        "smtp_password": made.smtp_password,
        "dkim": {str(key): key.dns_record for key in keys},
    }


def shape(match_kind: str = "default", match: str = "", **values: Any) -> None:
    """A rule of this stack."""
    ShapingRule.objects.update_or_create(match_kind=match_kind, match=match, defaults=values)


def weigh(name: str, weight: int) -> None:
    """Give a tenant another share."""
    Tenant.objects.filter(name=name).update(weight=weight)


def source(name: str, address: str, pool: str = "default") -> None:
    """One more source in a pool."""
    made = Source.objects.create(name=name, address=address)
    PoolMember.objects.create(pool=Pool.objects.get(name=pool), source=made)


def send(
    to: list[str], tenant: str = "acme", stream: str = "bulk", template: bool = True,
    reverse_path: str = "bounces@acme.test", campaign: str = "",
) -> str:  # fmt: skip
    """Inject one message to all; its id."""
    owner = Tenant.objects.get(name=tenant)
    spec = Spec(
        from_="News <news@acme.test>", subject="Hi {{ n }}", text="Hello {{ n }}\n" * 40,
        html=None, headers={}, attachments=(),
    )  # fmt: skip
    accepted = inject([
        NewMessage(
            tenant_id=owner.pk,
            stream_id=owner.streams.get(name=stream).pk,
            reverse_path=reverse_path,
            sender_domain="acme.test",
            content=spec.to_json() if template else RAW,
            kind="template" if template else "raw",
            recipients=[
                NewRecipient(parse_address(address), {"n": str(number)} if template else None)
                for number, address in enumerate(to)
            ],
            origin="api",
            campaign=campaign,
        )
    ])  # fmt: skip
    return str(accepted[0].message_id)


def order(words: list[str]) -> Any:
    """What a command answers in JSON."""
    out = io.StringIO()
    call_command(*words, "--json", stdout=out)
    return json.loads(out.getvalue())


def sql(query: str) -> list[list[Any]]:
    """Rows of a query."""
    with connection.cursor() as cursor:
        cursor.execute(query)
        return [list(row) for row in cursor.fetchall()]


CALLS = {call.__name__: call for call in (make_tenant, shape, weigh, source, send, order, sql)}


def main() -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = {"ok": CALLS[asked["call"]](**asked["with"])}
        except Exception as error:  # the test shows it
            answer = {"error": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
