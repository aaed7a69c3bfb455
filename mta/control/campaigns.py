"""Cancel a campaign: what waits ends now, what is in flight finishes and is not tried again.

A recipient in flight is left alone, so a deferral may bring it back after the order was carried
out. The decision remembers how far the order reaches, and upkeep ends what came back.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import orjson
from django.db.models import Q
from django.utils import timezone

from mta.control import changes
from mta.control.audit import Audit
from mta.control.changes import Done
from mta.control.refusal import Refused
from mta.control.selection import Selection
from mta.events.models import Decision
from mta.policy.lifecycle import State
from mta.spool.ids import new_id
from mta.spool.models import Message, Recipient
from mta.storage.fields import to_ms
from mta.tenants.models import Tenant

CAMPAIGN = "CAMPAIGN"
CANCEL = "cancel"
#: A batch that nobody settles is given back long before this.
LONGEST_FLIGHT = timedelta(hours=1)


def selection(tenant: Tenant, campaign: str) -> Selection:
    """All recipients of the campaign; along the index of campaigns."""
    words = {"tenant": (tenant.name,), "campaign": (campaign,)}
    return Selection(words, Q(message__tenant=tenant, message__campaign=campaign))


def named(tenant: str, campaign: str, argument: str = CAMPAIGN) -> Selection:
    """The campaign's recipients; Refused when nobody has that tenant or campaign."""
    owner = Tenant.objects.filter(name=tenant.strip().lower()).first()
    if owner is None:
        raise Refused("TENANT", f"there is no tenant named {tenant!r}.")
    if not exists(owner, campaign):
        raise Refused(argument, f"tenant {owner.name} has no mail of a campaign {campaign!r}.")
    return selection(owner, campaign)


def exists(tenant: Tenant, campaign: str) -> bool:
    return bool(campaign) and Message.objects.filter(tenant=tenant, campaign=campaign).exists()


def only_said(chosen: Selection, beginning: str) -> Selection:
    """Those of the recipients whose last word begins so."""
    said = Q(last_reply__startswith=beginning)
    return Selection(chosen.words, chosen.condition & said, chosen.states)


def in_flight(chosen: Selection) -> int:
    return chosen.rows(frozenset({State.CLAIMED})).count()


def cancel(chosen: Selection, *, by: str, reason: str = "", dsn: bool = False) -> Done:
    """End the campaign's waiting and held recipients, with an event each."""
    data = {"up_to": new_id(), "dsn": dsn, "open": True}
    said = f"campaign cancelled: {reason}" if reason else "campaign cancelled"
    done = changes.bounce(chosen, by=by, reason=said, dsn=dsn, kind=CANCEL, data=data)
    if not done.changed and in_flight(chosen):
        # Nothing waited: the order still holds for what is in flight.
        Audit(CANCEL, chosen, by, said, data).write(0)
    return done


def finish_cancels() -> int:
    """End what came back from flight after its campaign was cancelled; returns how many."""
    since = to_ms(timezone.now() - LONGEST_FLIGHT)
    count = 0
    for row in Decision.objects.filter(kind=CANCEL, at__gte=since).select_related("tenant"):
        data = orjson.loads(row.data)
        if data.get("open") and row.tenant is not None:
            count += finish(row, row.tenant, data)
    return count


def finish(row: Decision, tenant: Tenant, data: dict[str, Any]) -> int:
    """One order once more, for what was accepted before it."""
    reach = Q(message__tenant=tenant, message__campaign=row.campaign, pk__lte=data["up_to"])
    chosen = Selection({"tenant": (tenant.name,), "campaign": (row.campaign,)}, reach)
    flying = in_flight(chosen)
    count = 0
    if Recipient.objects.filter(reach, state__in=sorted(changes.TAKES["bounce"])).exists():
        done = changes.bounce(
            chosen, by=row.actor, reason=row.reason, dsn=data["dsn"], kind="cancel_late"
        )
        count = done.changed
    if not flying:
        closed = orjson.dumps({**data, "open": False}).decode()
        Decision.objects.filter(pk=row.pk).update(data=closed)
    return count
