"""`python -m tests.bench.all_limits on ROOM | off | used`: every limit that mail can meet, or none.

Rule 1: no limit binds: each has room for ROOM messages at once. But each is counted, and all but
        the quickest rates lag behind what is sent, so that there is something to reckon with.
Rule 2: `off` leaves what the other benches have: the default rule with one rate and connections.
Rule 3: `used` prints as JSON what the limits have counted; a limit that nobody asks costs nothing.
It runs in the environment of a stack, whose processes hear of a change within HEARD_SECONDS.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import timedelta

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mta.settings")
import django

django.setup()

from django.db.models import Sum  # noqa: E402
from django.utils import timezone  # noqa: E402

from mta import wiring  # noqa: E402
from mta.egress.models import (  # noqa: E402
    Pool,
    PoolMember,
    RoutingRule,
    ShapingRule,
    Source,
    WarmupDay,
    WarmupSchedule,
    WarmupState,
)
from mta.egress.provision import default_pool  # noqa: E402
from mta.policy.shaping import BURST_SECONDS, PERIODS  # noqa: E402
from mta.spool.quota import quota_counters  # noqa: E402
from mta.tenants.models import Stream, Tenant  # noqa: E402
from tests.bench.crowd import DOMAIN  # noqa: E402
from tests.bench.stack import NO_LIMITS  # noqa: E402

#: As `manage.py` names them, also on the page.
WARMING, SPILL, PROVIDER, TENANT = "warming", "spill", "sinks", "acme"
#: Addresses of the further sources; the first one leaves from wherever the system likes.
ADDRESSES = {WARMING: "127.0.0.11", SPILL: "127.0.0.12"}
#: The quickest rate that a bucket knows.
QUICKEST = 1_000_000.0
QUOTA = 1_000_000_000
#: Other providers and sites that the warming source has come so far with.
REACHES = 200
SPREAD_HOURS = 12
#: Limits of the shaping rules beside their rates.
CONNECTIONS = {name: value for name, value in NO_LIMITS.items() if "connection" in name}
#: name -> condition and what would become of the mail; none of them holds.
ROUTES = {
    "bounces": ("domain_attempts >= 20 and domain_bounce_rate > 0.05", "pool", {}),
    "winter": ('campaign == "winter" or "vip" in tags', "priority", {"priority": "bulk"}),
    "huge": ('provider == "elsewhere" and size > 5 * 1024 * 1024', "hold", {"reason": "too large"}),
}  # fmt: skip
RATES = ("messages_per_second", "messages_per_hour", "messages_per_day")


def rates(room: int) -> dict[str, float]:
    """Rates by the name of their value, whose bursts have room for so many messages."""
    return {
        name: min(QUICKEST, room / BURST_SECONDS[seconds]) * seconds
        for name, seconds in PERIODS.items()
    }


def on(room: int) -> None:
    """Everything at once."""
    off()
    pool = default_pool()
    cold = further_source(WARMING, pool)
    spill, _ = Pool.objects.get_or_create(name=SPILL)
    further_source(SPILL, spill)
    Pool.objects.filter(pk=pool.pk).update(overflow=spill)
    shape(room, [cold, Source.objects.exclude(name__in=ADDRESSES).get()])
    totals(room)
    warm_up(cold, room)
    for at, (name, (condition, action, more)) in enumerate(ROUTES.items()):
        RoutingRule.objects.create(
            position=at, name=name, condition=condition, action=action,
            pool=spill if action == "pool" else None, **more,
        )  # fmt: skip


def further_source(name: str, pool: Pool) -> Source:
    made, _ = Source.objects.get_or_create(name=name, defaults={"address": ADDRESSES[name]})
    PoolMember.objects.get_or_create(pool=pool, source=made)
    return made


def shape(room: int, sources: list[Source]) -> None:
    """Rules for all, for the provider, for the site, and for each source towards the site."""
    values = rates(room) | CONNECTIONS
    ShapingRule.objects.filter(match_kind="default").update(**values, burst=None)
    ShapingRule.objects.create(match_kind="provider", match=PROVIDER, mx_suffixes=DOMAIN, **values)
    for source in (None, *sources):
        ShapingRule.objects.create(match_kind="site", match=DOMAIN, source=source, **values)


def totals(room: int) -> None:
    """What tenant, stream and source may send in all."""
    wanted = {name: rates(room)[name] for name in RATES}
    Source.objects.update(**wanted)
    Stream.objects.update(**wanted)
    Tenant.objects.filter(name=TENANT).update(
        messages_per_second=wanted["messages_per_second"], quota_per_hour=QUOTA,
        quota_per_day=QUOTA, quota_action="delay",
    )  # fmt: skip


def warm_up(source: Source, room: int) -> None:
    """A schedule whose second stage the source has reached with everybody."""
    schedule, _ = WarmupSchedule.objects.get_or_create(
        name="bench", defaults={"spread_hours": SPREAD_HOURS}
    )
    schedule.stages.all().delete()
    for day in (1, 2, 3):
        schedule.stages.create(day=day, per_day=SPREAD_HOURS * room * day)
    today = timezone.now().date()
    Source.objects.filter(pk=source.pk).update(
        warmup_schedule=schedule, warmup_started_on=today - timedelta(days=5)
    )
    names = [PROVIDER, *(f"site-{number}.test" for number in range(REACHES))]
    for name in names:
        WarmupState.objects.update_or_create(
            source=source, reach=name, defaults={"stage": 2, "stage_started_on": today}
        )


def off() -> None:
    """Nothing but the default rule of the benches, and one source."""
    ShapingRule.objects.exclude(match_kind="default").delete()
    ShapingRule.objects.filter(match_kind="default").update(**(dict.fromkeys(PERIODS) | NO_LIMITS))
    RoutingRule.objects.all().delete()
    pool = default_pool()
    PoolMember.objects.filter(pool=pool, source__name__in=ADDRESSES).delete()
    Pool.objects.filter(pk=pool.pk).update(overflow=None)
    none = dict.fromkeys(RATES)
    Source.objects.update(**none, warmup_schedule=None, warmup_started_on=None)
    Stream.objects.update(**none)
    Tenant.objects.update(messages_per_second=None, quota_per_hour=None, quota_per_day=None)


def used() -> dict[str, object]:
    """{"quota": messages of the day, "warmup": tries of the day, "limits": keys in use}."""
    limits, now = wiring.limits(), timezone.now()
    counters = quota_counters(Tenant.objects.get(name=TENANT).pk, now)
    words = ("rate", "minute", "hour", "day", "warmup", "warmup-spread", "quota", "connections")
    keys = [name for word in words for name in limits.names(f"{word}:")]
    return {
        "quota": max(limits.used(counters), default=0),
        "warmup": WarmupDay.objects.aggregate(sum=Sum("attempted"))["sum"] or 0,
        "limits": keys,
    }


def main() -> None:
    word, *more = sys.argv[1:]
    if word == "used":
        print(json.dumps(used()))
    elif word == "on":
        on(int(more[0]))
    else:
        off()


if __name__ == "__main__":
    main()
