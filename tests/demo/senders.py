"""Puts the demo's senders into the database of the running stack."""

from __future__ import annotations

import json
import secrets
from io import StringIO

from django.core.management import call_command
from django.utils import timezone

from mta.egress.models import Pool, PoolMember, Source, WarmupSchedule, WarmupStage
from mta.tenants.models import Role, Stream, User
from tests.demo.cast import SOURCES, WARMING, WARMUP_CAP, Sender, Senders


def make() -> Senders:
    """Two tenants with their streams on two pools, four sources, one admin."""
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
