"""Suspend and resume a tenant, a site or a source by its name.

Rule 1: a name is looked for among tenants, sources, sites and providers; more than one scope fits:
        the person says which.
Rule 2: every process hears of a change within KEEP_SECONDS of mta.egress.sources; until then mail
        may still go, and mail that a resume frees is not offered to a process that does not know.
Rule 3: resuming brings back only what the suspension put off: retry times stay what they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet
from django.utils import timezone

from mta.control.refusal import Refused
from mta.delivery.shaping import rules
from mta.egress.models import Source, SourceStatus, Suspension, SuspensionScope
from mta.egress.sources import KEEP_SECONDS, forget
from mta.mail.address import AddressError, normalise_domain
from mta.policy.shaping import providers
from mta.spool import inject
from mta.spool.models import Lane
from mta.spool.put_off import bring_back
from mta.storage.fields import now_ms
from mta.storage.transactions import write
from mta.tenants.models import Tenant, TenantStatus

NAME = "NAME"
#: How resolve and dispatch say that a suspension put mail off (mta.delivery.route, tasks.dispatch).
PUT_OFF_BY: dict[str, tuple[str, ...]] = {
    "tenant": ("the tenant is suspended", "tenant suspended"),
    "site": ("the site is suspended", "site suspended"),
}
NO_SOURCE = "no active source in pool"
#: Milliseconds until every process has looked anew, with a little to spare.
HEARD_MS = round(KEEP_SECONDS * 1000) + 200


@dataclass(frozen=True, slots=True)
class Named:
    """What a name means: a scope of Suspension and its key."""

    scope: str
    key: str


@dataclass(frozen=True, slots=True)
class Resumed:
    """What became free: queues looked at again, recipients whose wait was cut short."""

    scope: str
    key: str
    lanes: int
    recipients: int
    #: What still stops this mail, in words.
    still: tuple[str, ...] = ()


def suspend(
    name: str, *, scope: str = "", seconds: float | None = None, reason: str = "", by: str = ""
) -> Suspension:
    """Let the mail of `name` wait for `seconds` (None: until resumed); Refused when unclear.

    Suspending what is suspended changes reason and end.
    """
    named = find(name, scope)
    now = timezone.now()
    values = {
        "reason": reason[:200],
        "created_by": by[:150],
        "created_at": now,
        "ends_at": None if seconds is None else ends_at(now, seconds),
    }

    def work() -> Suspension:
        return Suspension.objects.update_or_create(
            scope=named.scope, key=named.key, defaults=values
        )[0]

    made = write(work)
    forget()
    return made


def ends_at(now: datetime, seconds: float) -> datetime:
    try:
        return now + timedelta(seconds=seconds)
    except OverflowError:
        raise Refused("--for", "that is longer than calendars go; leave it out.") from None


def find(name: str, scope: str = "") -> Named:
    """The one thing of that name; Refused when there is none, or several and no scope."""
    found = meanings(name)
    if scope:
        found = [one for one in found if one.scope == scope]
    scopes = sorted({one.scope for one in found})
    if len(scopes) > 1:
        raise Refused(
            NAME, f"{name!r} is the name of a {' and of a '.join(scopes)}: add --scope SCOPE."
        )
    if not found:
        what = scope or "tenant, site or source"
        raise Refused(NAME, f"there is no {what} named {name!r}; mailq shows sites and tenants.")
    return found[0]


def meanings(name: str) -> list[Named]:
    """Everything that the name may mean, at most once a scope."""
    key = name.strip().lower()
    found = []
    if Tenant.objects.filter(name=key).exists():
        found.append(Named(SuspensionScope.TENANT.value, key))
    if Source.objects.filter(name=key).exists():
        found.append(Named(SuspensionScope.SOURCE.value, key))
    site = site_named(name.strip())
    if site:
        found.append(Named(SuspensionScope.SITE.value, site))
    return found


def site_named(name: str) -> str:
    """The key under which dispatch and resolve know the site; "" when it is none.

    A domain need not have any mail yet: mail can be suspended before it comes.
    """
    if Lane.objects.filter(site=name).exists():
        return name
    if name.lower() in providers(rules()):
        return name.lower()
    try:
        domain = normalise_domain(name)
    except AddressError:
        return ""
    return domain if "." in domain or Lane.objects.filter(domain=domain).exists() else ""


def resume(name: str, *, scope: str = "") -> Resumed:
    """End the suspension of `name`; Refused when there is none."""
    word = name.strip()
    rows = Suspension.objects.filter(key__in={word, word.lower(), site_named(word)} - {""})
    if scope:
        rows = rows.filter(scope=scope)
    found = list(rows)
    if len({one.scope for one in found}) > 1:
        scopes = " and a ".join(sorted({one.scope for one in found}))
        raise Refused(NAME, f"{name!r} is a suspended {scopes}: add --scope SCOPE.")
    if not found:
        still = stopped_otherwise(word.lower(), scope)
        hint = " ".join(still) if still else "the suspensions page of the admin lists what is."
        raise Refused(NAME, f"nothing named {name!r} is suspended; {hint}")
    lanes, recipients = lift(found)
    return Resumed(
        found[0].scope,
        found[0].key,
        lanes,
        recipients,
        tuple(stopped_otherwise(found[0].key, found[0].scope)),
    )


def stopped_otherwise(name: str, scope: str) -> list[str]:
    """A status that stops the same mail and that resuming does not touch."""
    said = []
    if scope != SuspensionScope.TENANT:
        source = Source.objects.filter(name=name).exclude(status=SourceStatus.ACTIVE).first()
        if source:
            said.append(f"The status of source {name} is {source.status}: set it in the admin.")
    if scope != SuspensionScope.SOURCE:
        tenant = Tenant.objects.filter(name=name, status=TenantStatus.SUSPENDED).first()
        if tenant:
            said.append(f"The status of tenant {name} is suspended: set it in the admin.")
    return said


def lift(found: Sequence[Suspension]) -> tuple[int, int]:
    """End these suspensions now; returns how many lanes and recipients come back."""
    done = write(lambda: end(found))
    forget()
    inject.ring()
    return done


def end(found: Sequence[Suspension]) -> tuple[int, int]:
    """Remove the rows and bring back what they put off, in the caller's transaction."""
    due = now_ms() + HEARD_MS
    lanes = recipients = 0
    for one in found:
        rows, reasons = put_off_by(one)
        ids = list(rows.order_by().values_list("pk", flat=True))
        recipients += bring_back(ids, reasons, due)
        waiting = rows.filter(reasons_like("hold_reason", reasons) | Q(due_at__lt=due))
        lanes += waiting.order_by().update(due_at=due, hold_reason="")
        one.delete()
    return lanes, recipients


def put_off_by(one: Suspension) -> tuple[QuerySet[Lane], tuple[str, ...]]:
    """Lanes with waiting mail that the suspension reaches, and the reasons it gave."""
    rows = Lane.objects.filter(due_at__isnull=False)
    if one.scope == SuspensionScope.TENANT:
        return rows.filter(tenant__name=one.key), PUT_OFF_BY["tenant"]
    if one.scope == SuspensionScope.SOURCE:
        return rows.filter(hold_reason__startswith=NO_SOURCE), (NO_SOURCE,)
    if one.key in providers(rules()):
        # Lanes do not know their provider: those that any site's suspension put off are asked.
        return rows.filter(hold_reason__in=PUT_OFF_BY["site"]), PUT_OFF_BY["site"]
    return rows.filter(Q(domain=one.key) | Q(site=one.key)), PUT_OFF_BY["site"]


def reasons_like(field: str, reasons: Sequence[str]) -> Q:
    found = Q()
    for reason in reasons:
        found |= Q(**{f"{field}__startswith": reason})
    return found
