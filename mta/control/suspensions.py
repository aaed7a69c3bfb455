"""Suspend and resume a tenant, campaign, site, provider or source by its name.

Rule 1: a name is looked for in every scope; several fit: the person says which. A campaign is
        TENANT/CAMPAIGN.
Rule 2: every process hears of a change within KEEP_SECONDS of mta.egress.sources; until then mail
        may still go, and mail that a resume frees is not offered to a process that does not know.
Rule 3: lanes of what is suspended wait as a whole (mta.spool.waiting), so their recipients stay as
        they are. A campaign shares its lanes: its recipients are held, and nothing polls them.
Rule 4: resuming, or the end that was set, brings back only what the suspension put off.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from mta.control import campaigns, changes
from mta.control.draining import free_pools
from mta.control.names import Named, keys_like
from mta.control.reach import reach
from mta.control.refusal import Refused
from mta.control.selection import Selection
from mta.egress.models import Source, SourceStatus, Suspension, SuspensionScope
from mta.egress.sources import forget
from mta.events import decisions
from mta.spool import inject, waiting
from mta.spool.campaigns import words
from mta.storage.transactions import write
from mta.tenants.models import Tenant, TenantStatus

NAME = "NAME"


@dataclass(frozen=True, slots=True)
class Suspended:
    """What a suspension stops from now on."""

    row: Suspension
    #: Recipients that were held: those of a campaign.
    held: int = 0


@dataclass(frozen=True, slots=True)
class Resumed:
    """What became free: queues looked at again, and recipients released that were held."""

    scope: str
    key: str
    lanes: int
    recipients: int
    #: What still stops this mail, in words.
    still: tuple[str, ...] = ()


def impose(
    named: Named, *, ends_at: datetime | None = None, reason: str = "", by: str = ""
) -> Suspended:
    """Suspend what was found until `ends_at` (None: until resumed), and write the decision with it.

    Suspending what is suspended changes reason and end.
    """
    values = {
        "reason": reason[:200],
        "created_by": by[:150],
        "created_at": timezone.now(),
        "ends_at": ends_at,
    }

    def work() -> Suspension:
        made = Suspension.objects.update_or_create(
            scope=named.scope, key=named.key, defaults=values
        )[0]
        decide("suspend", made, by=by, reason=reason)
        return made

    made = write(work)
    return begin(made, by=by)


def begin(made: Suspension, *, by: str) -> Suspended:
    """Carry out what a stored row says; the admin's form stores rows by itself."""
    forget()
    if made.scope != SuspensionScope.CAMPAIGN:
        return Suspended(made)
    chosen = reach(Named(made.scope, made.key))
    because = f"{words(made.key)}: {made.reason}" if made.reason else words(made.key)
    done = changes.hold(chosen, by=by, reason=because, kind="hold", said=because)
    return Suspended(made, done.changed)


def end_after(seconds: float | None) -> datetime | None:
    if seconds is None:
        return None
    try:
        return timezone.now() + timedelta(seconds=seconds)
    except OverflowError:
        raise Refused("--for", "that is longer than calendars go; leave it out.") from None


def decide(kind: str, row: Suspension, *, by: str, reason: str, count: int | None = None) -> None:
    """Write who suspended or resumed what."""
    scope, key = row.scope, row.key
    tenant, _, campaign = key.partition("/") if scope == "campaign" else (key, "", "")
    named = tenant if scope in {"tenant", "campaign"} else ""
    decisions.record(
        kind,
        actor=by,
        reason=reason,
        tenant_id=Tenant.objects.filter(name=named).values_list("pk", flat=True).first(),
        source=key if scope == "source" else "",
        site=key if scope == "site" else "",
        provider=key if scope == "provider" else "",
        campaign=campaign,
        count=count,
        data={"scope": scope, "key": key, "ends_at": row.ends_at},
    )


def resume(name: str, *, scope: str = "", by: str = "", reason: str = "") -> Resumed:
    """End the suspension of `name`; Refused when there is none."""
    rows = Suspension.objects.filter(key__in=keys_like(name))
    if scope:
        rows = rows.filter(scope=scope)
    found = list(rows)
    if len({one.scope for one in found}) > 1:
        scopes = " and a ".join(sorted({one.scope for one in found}))
        raise Refused(NAME, f"{name!r} is a suspended {scopes}: add --scope SCOPE.")
    if not found:
        still = stopped_otherwise(name.strip().lower(), scope)
        hint = " ".join(still) if still else "the suspensions page of the admin lists what is."
        raise Refused(NAME, f"nothing named {name!r} is suspended; {hint}")
    first = found[0]
    lane_count = recipients = 0
    for one in found:
        freed, released = lift(one, by=by, reason=reason)
        lane_count, recipients = lane_count + freed, recipients + released
    still_stopped = tuple(stopped_otherwise(first.key, first.scope))
    return Resumed(first.scope, first.key, lane_count, recipients, still_stopped)


def stopped_otherwise(name: str, scope: str) -> list[str]:
    """A status that stops the same mail and that resuming does not touch."""
    said = []
    if scope in {"", SuspensionScope.SOURCE}:
        source = Source.objects.filter(name=name).exclude(status=SourceStatus.ACTIVE).first()
        if source:
            said.append(f"The status of source {name} is {source.status}: set it in the admin.")
    if scope in {"", SuspensionScope.TENANT}:
        tenant = Tenant.objects.filter(name=name, status=TenantStatus.SUSPENDED).first()
        if tenant:
            said.append(f"The status of tenant {name} is suspended: set it in the admin.")
    return said


def lift(row: Suspension, *, by: str, reason: str = "") -> tuple[int, int]:
    """End the suspension now; returns how many lanes and recipients come back."""

    def work() -> int:
        Suspension.objects.filter(pk=row.pk).delete()
        freed = free_lanes(row)
        decide("resume", row, by=by, reason=reason)
        return freed

    freed = write(work)
    forget()
    released = release_held(row.key, by=by) if row.scope == SuspensionScope.CAMPAIGN else 0
    inject.ring()
    return freed, released


def free_lanes(row: Suspension) -> int:
    """Let the lanes go that wait for the end of it; the caller holds the transaction."""
    if row.scope != SuspensionScope.SOURCE:
        return waiting.release(waiting.suspended(row.scope, row.key))
    return free_pools(row.key)


def release_held(key: str, *, by: str) -> int:
    """Release what the campaign's suspension held, and nothing that was held otherwise."""
    chosen = held_by(key)
    if not chosen.rows(changes.TAKES["release"]).exists():
        return 0
    return changes.release(chosen, by=by, reason=f"{words(key)} no longer").changed


def held_by(key: str) -> Selection:
    """Recipients whose last word is that their campaign is suspended."""
    chosen = reach(Named(SuspensionScope.CAMPAIGN.value, key))
    return campaigns.only_said(chosen, words(key))
