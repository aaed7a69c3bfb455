"""What orders leave to the clock: suspensions end, and what was in flight when somebody cancelled
or resumed a campaign is looked at once more. Cheap when there is nothing of the kind."""

from __future__ import annotations

from datetime import timedelta

import orjson
from django.utils import timezone

from mta.control import campaigns, suspensions
from mta.egress.models import Suspension, SuspensionScope
from mta.events.models import Decision
from mta.storage.fields import to_ms

#: Who ends a suspension whose time is over.
CLOCK = "clock"
#: A batch that was resolved before its campaign was resumed is settled within this.
LATE = timedelta(minutes=2)


def tick() -> int:
    """Do what is due; returns how many suspensions ended and recipients changed."""
    return end_suspensions() + campaigns.finish_cancels() + release_late()


def end_suspensions() -> int:
    """Lift the suspensions whose end has come: exactly what they put off goes on."""
    over = list(Suspension.objects.filter(ends_at__lte=timezone.now()))
    for row in over:
        suspensions.lift(row, by=CLOCK, reason="its end came")
    return len(over)


def release_late() -> int:
    """Release what was held by word of a suspension that was lifted meanwhile."""
    since = to_ms(timezone.now() - LATE)
    count = 0
    for data in Decision.objects.filter(kind="resume", at__gte=since).values_list(
        "data", flat=True
    ):
        told = orjson.loads(data)
        key = told.get("key", "")
        if told.get("scope") != SuspensionScope.CAMPAIGN:
            continue
        if not Suspension.objects.filter(scope=SuspensionScope.CAMPAIGN, key=key).exists():
            count += suspensions.release_held(key, by=CLOCK)
    return count
