"""Who sends in the demo: two tenants, two pools, four sources of which one warms up, one admin."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from io import StringIO

from django.core.management import call_command
from django.utils import timezone

from mta.egress.models import Pool, PoolMember, Source, WarmupSchedule, WarmupStage
from mta.tenants.models import Role, Stream, User
from tests.demo.sources import SOURCES, WARMING, WARMUP_CAP


@dataclass(frozen=True, slots=True)
class Sender:
    tenant: str
    domain: str
    api_key: str
    smtp_username: str
    smtp_password: str


@dataclass(frozen=True, slots=True)
class Senders:
    #: Sends the campaign by API over the marketing pool.
    gazette: Sender
    #: Sends single messages by SMTP over the transactional pool.
    shop: Sender
    admin: str
    admin_password: str


def make() -> Senders:
    """Everything above, in the database of the running stack."""
    pools = make_pools()
    gazette = make_tenant("gazette", "gazette.example")
    shop = make_tenant("shop", "shop.example")
    for stream in Stream.objects.all():
        stream.pool = pools["marketing" if stream.kind == "bulk" else "transactional"]
        stream.save(update_fields=["pool"])
    password = secrets.token_urlsafe(9)
    User.objects.create_superuser("admin", password=password, role=Role.OPERATOR)
    return Senders(gazette, shop, "admin", password)


def make_tenant(name: str, domain: str) -> Sender:
    answer = StringIO()
    call_command("create_tenant", name, "--domain", domain, "--json", stdout=answer)
    made = json.loads(answer.getvalue())
    return Sender(
        made["tenant"], domain, made["api_key"], made["smtp_username"], made["smtp_password"]
    )


def make_pools() -> dict[str, Pool]:
    schedule = WarmupSchedule.objects.create(
        name="demo", description="So few a day that the cap can be seen at work."
    )
    for day in (1, 2, 3):
        WarmupStage.objects.create(schedule=schedule, day=day, per_day=WARMUP_CAP * day)
    pools: dict[str, Pool] = {}
    for pool_name, name, address in SOURCES:
        pool = pools.setdefault(pool_name, Pool.objects.get_or_create(name=pool_name)[0])
        source = Source.objects.create(
            name=name, address=address, ehlo_name=f"{name}.mailmill.demo.test"
        )
        if name == WARMING:
            source.warmup_schedule = schedule
            source.warmup_started_on = timezone.now().date()
            source.save()
        PoolMember.objects.create(pool=pool, source=source)
    return pools
