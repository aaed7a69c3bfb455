"""A person changes rules: lanes that wait for what no longer holds are let go.

Rule 1: every process has heard of a change after KEEP_SECONDS (mta.egress.sources); lanes go when
        that time is over, so that nobody puts them off again for the old rule.
Rule 2: what was put off by the old rule meanwhile is let go by the dispatcher, which asks
        `last_change` now and then.
"""

from __future__ import annotations

import logging
from typing import Any

import redis
from django.db import DatabaseError, transaction
from django.db.models.signals import post_delete, post_save

from mta import wiring
from mta.egress import models as egress
from mta.egress.sources import KEEP_SECONDS
from mta.spool import waiting
from mta.storage.fields import now_ms
from mta.tenants.models import Stream, Tenant

log = logging.getLogger(__name__)
#: Milliseconds until every process has looked anew, with a little to spare.
HEARD_MS = round(KEEP_SECONDS * 1000) + 200
KEY, KEPT_SECONDS = "rules-changed", 60.0
RULES = (
    egress.ShapingRule, egress.RoutingRule, egress.AutomationRule, egress.Source, egress.Pool,
    egress.PoolMember, egress.WarmupSchedule, egress.WarmupStage, Stream, Tenant,
)  # fmt: skip


def connect() -> None:
    """Listen to every way in which Django changes a rule."""
    for model in RULES:
        for signal in (post_save, post_delete):
            signal.connect(changed, sender=model, dispatch_uid=f"rules-{model.__name__}")


def changed(created: bool = False, **_: Any) -> None:
    """Once the change is stored; a failure costs waiting time only."""
    transaction.on_commit(let_go, robust=True)


def let_go() -> None:
    try:
        waits = waiting.release_all(now_ms() + HEARD_MS)
        # Also when nothing waits yet: a batch under way may be put off for the old rule.
        wiring.memory().remember(KEY, KEPT_SECONDS, str(now_ms()))
        if waits:
            wiring.nudge().ring()
    except (redis.RedisError, DatabaseError) as error:
        log.warning("lanes wait on after a change of rules: %s", type(error).__name__)


def last_change() -> int:
    """When rules were last changed, ms; 0: not lately. Raises RedisError."""
    return int(wiring.memory().recall(KEY) or 0)
