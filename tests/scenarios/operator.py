"""A process inside a stack's environment that does what a test asks, one JSON line at a time.

The test process has its own database; this one has the stack's, and uses the product as an app
would: it provisions tenants, injects mail and reads the spool.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mta.settings")
import django

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402

from mta.egress import models as egress  # noqa: E402
from mta.egress.models import Pool, PoolMember, ShapingRule, Source  # noqa: E402
from mta.egress.provision import provision  # noqa: E402
from mta.mail.address import parse_address  # noqa: E402
from mta.mail.compose import Spec  # noqa: E402
from mta.spool.inject import NewMessage, NewRecipient, inject  # noqa: E402
from mta.tenants.models import DkimKey, Stream, Tenant  # noqa: E402

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


def set_tenant(name: str, **values: Any) -> None:
    """Change a tenant as the admin does."""
    saved(Tenant.objects.get(name=name), values)


def set_stream(name: str, pool: str, tenant: str = "acme") -> None:
    """Give a stream another pool."""
    stream = Stream.objects.get(tenant__name=tenant, name=name)
    saved(stream, {"pool": Pool.objects.get(name=pool)})


def set_source(name: str, **values: Any) -> None:
    """Change a source as the admin does."""
    saved(Source.objects.get(name=name), values)


def saved(row: Any, values: dict[str, Any]) -> None:
    """Store the row with these values; a password crosses as text."""
    if "password" in values:
        values = {**values, "password": values["password"].encode()}
    for field, value in values.items():
        setattr(row, field, value)
    row.save()


def source(name: str, address: str | None = None, pool: str = "default", **values: Any) -> None:
    """One more source in a pool, which is made when there is none of that name."""
    made = Source(name=name, address=address)
    saved(made, values)
    PoolMember.objects.create(pool=Pool.objects.get_or_create(name=pool)[0], source=made)


def overflow(pool: str, into: str) -> None:
    """What is too much for a pool goes through another one."""
    saved(Pool.objects.get(name=pool), {"overflow": Pool.objects.get(name=into)})


def warm(name: str, per_day: int) -> None:
    """Warm a source from today on, with one stage that is not spread over the day."""
    schedule = egress.WarmupSchedule.objects.create(name=f"for-{name}", spread_hours=0)
    egress.WarmupStage.objects.create(schedule=schedule, day=1, per_day=per_day)
    today = datetime.now(UTC).date()
    saved(Source.objects.get(name=name), {"warmup_schedule": schedule, "warmup_started_on": today})


def rule(name: str, condition: str, action: str, pool: str = "", **values: Any) -> None:
    """A routing rule."""
    chosen = Pool.objects.get(name=pool) if pool else None
    egress.RoutingRule.objects.create(
        name=name, condition=condition, action=action, pool=chosen, **values
    )


def send(
    to: list[str], tenant: str = "acme", stream: str = "bulk", template: bool = True,
    reverse_path: str = "bounces@acme.test", campaign: str = "", tags: Sequence[str] = (),
    engaged: bool = False,
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
                NewRecipient(
                    parse_address(address), {"n": str(number)} if template else None,
                    engaged=engaged,
                )
                for number, address in enumerate(to)
            ],
            origin="api",
            campaign=campaign,
            tags=tags,
        )
    ])  # fmt: skip
    return str(accepted[0].message_id)


def post(api_key: str, to: list[str], campaign: str = "", tags: Sequence[str] = ()) -> None:
    """Inject by the API, as an app does."""
    told = {
        "from": "News <news@acme.test>", "subject": "Hi", "text": "Hello", "stream": "bulk",
        "recipients": [{"to": address} for address in to], "campaign": campaign, "tags": tags,
    }  # fmt: skip
    answer = Client().post(
        "/api/v1/messages", told, content_type="application/json",
        headers={"authorization": f"Bearer {api_key}", "host": "127.0.0.1"},
    )  # fmt: skip
    if answer.status_code != 202:
        raise RuntimeError(answer.content.decode())


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


CALLS = {
    call.__name__: call
    for call in (
        make_tenant, set_tenant, set_stream, set_source, shape, weigh, source, overflow, warm,
        rule, send, post, order, sql,
    )
}  # fmt: skip


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
