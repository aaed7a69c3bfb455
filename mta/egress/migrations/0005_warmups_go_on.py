"""Warmups that went by the calendar go on where they are; one that was over stays over."""

from collections import Counter
from datetime import UTC, datetime

from django.db import migrations
from django.db.models import Q

from mta.policy.shaping import load_rules, providers
from mta.policy.site import provider_of

#: Sites of a source that keep their stage, the most used first: the tail does with the first one.
MOST_REACHES = 1000


def go_on(apps, schema_editor):
    """Without this a warm source would fall to the first stage, and its mail would expire."""
    today = datetime.now(UTC).date()
    sources = apps.get_model("egress", "Source").objects.filter(
        warmup_schedule__isnull=False, warmup_started_on__lte=today, warmups__isnull=True
    )
    for source in sources.select_related("warmup_schedule"):
        day = (today - source.warmup_started_on).days
        if day >= source.warmup_schedule.stages.count():
            source.warmup_schedule, source.warmup_started_on = None, None
            source.save(update_fields=["warmup_schedule", "warmup_started_on"])
        elif day:
            keep(apps, source, day + 1, today)


def keep(apps, source, stage, today):
    """Put the source at the stage towards whom its pools have mail for or had."""
    pools = source.memberships.values("pool_id")
    mine = Q(stream__pool__in=pools) | Q(stream__pool__overflow__in=pools)
    sites = apps.get_model("spool", "Lane").objects.filter(mine).exclude(site="").order_by()
    known = providers(load_rules())
    used = Counter(
        (provider_of([site], known) or site)[:253] for site in sites.values_list("site", flat=True)
    )
    state = apps.get_model("egress", "WarmupState")
    state.objects.bulk_create(
        state(
            source=source, reach=reach, stage=stage, stage_started_on=today,
            reason="the day of its schedule at the upgrade",
        )
        for reach, _ in used.most_common(MOST_REACHES)
    )  # fmt: skip


class Migration(migrations.Migration):
    dependencies = [
        ("egress", "0004_limits_that_adapt"),
        ("spool", "0004_lanes_wait"),
    ]
    operations = [migrations.RunPython(go_on, migrations.RunPython.noop)]
