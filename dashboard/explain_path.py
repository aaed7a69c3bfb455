"""How mail of a tenant to an address would go: site, limits with their rules, sources, and when.

Nothing is sent or taken. When the next message may go is asked of the code that delivery asks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.db.models import Q
from django.utils import timezone

from dashboard.explain_next import LaneTold, Next, Stop, next_message
from dashboard.explain_sources import SourceTold, sources_told
from mta.control.refusal import Refused
from mta.delivery.batch import Batch
from mta.delivery.network import route_to
from mta.delivery.shaping import limits_of_path
from mta.delivery.ways import Plan
from mta.egress.models import Suspension
from mta.egress.sources import snapshot
from mta.mail.address import Address, AddressError, parse_address
from mta.net.dns import ResolveError, Route
from mta.policy.shaping import VALUES, Explained
from mta.policy.site import site_name
from mta.spool.models import Lane
from mta.storage.fields import now_ms
from mta.suppression.lookup import normalise
from mta.suppression.models import Suppression
from mta.tenants.models import Stream, StreamKind, Tenant
from mta.tenants.senders import StreamUnknown, stream_for

#: Lane.priority in words.
URGENCY = {0: "transactional", 1: "bulk to engaged recipients", 2: "bulk"}
Finder = Callable[[str], Route | ResolveError]


@dataclass(frozen=True, slots=True)
class HostTold:
    host: str
    preference: int
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LimitTold:
    """A limit of every source towards the site, and the rule that set it."""

    name: str
    value: int | float | str
    rule: str
    #: What holds across all sites of the provider together, and the rule that set it.
    across: int | float | None = None
    across_rule: str = ""


@dataclass(frozen=True, slots=True)
class PathTold:
    """The whole answer; `dns_error` instead of site and hosts when the look-up failed."""

    tenant: str
    stream: str
    address: str
    domain: str
    site: str
    provider: str
    dns_error: str
    mx: tuple[HostTold, ...]
    limits: tuple[LimitTold, ...]
    pool: str
    sources: tuple[SourceTold, ...]
    suspensions: tuple[Stop, ...]
    suppressions: tuple[Stop, ...]
    lanes: tuple[LaneTold, ...]
    next: Next


def explain_path(
    tenant: str, address: str, *, stream: str = "", find: Finder = route_to
) -> PathTold:
    """The egress path; Refused when tenant, stream or address do not exist."""
    owner, to = tenant_named(tenant), address_named(address)
    try:
        chosen = stream_for(owner.pk, stream)
    except StreamUnknown as error:
        raise Refused("--stream", str(error)) from None
    found = find(to.domain)
    names = () if isinstance(found, ResolveError) else tuple(host.name for host in found.hosts)
    site = site_name(names) if names else ""
    explained = limits_of_path(site, names)
    egress = snapshot()
    pool = egress.pools[chosen.pool_id]
    way: Plan | ResolveError
    if isinstance(found, ResolveError):
        way = found
    else:
        way = Plan(one_message(chosen, to), [0], site, explained.provider, found, pool)
    sources = sources_told(way, egress) if isinstance(way, Plan) else ()
    stops = suspensions_of(owner.name, {to.domain, site, explained.provider}, sources)
    unwanted = suppressions_of(owner.pk, chosen.pk, str(to))
    lanes = lanes_told(chosen, to.domain)
    return PathTold(
        tenant=owner.name,
        stream=chosen.name,
        address=str(to),
        domain=to.domain,
        site=site,
        provider=explained.provider,
        dns_error=str(found) if isinstance(found, ResolveError) else "",
        mx=() if isinstance(found, ResolveError) else hosts_told(found),
        limits=limits_told(explained) if names else (),
        pool=pool.name,
        sources=sources,
        suspensions=stops,
        suppressions=unwanted,
        lanes=lanes,
        next=next_message(way, egress, (stops, unwanted), sources, lanes),
    )


def one_message(stream: Stream, to: Address) -> Batch:
    """One recipient that does not exist."""
    return Batch(
        token=0, lane_id=0, tenant_id=stream.tenant_id, stream_id=stream.pk, domain=to.domain,
        recipient_ids=(0,), claimed_at=now_ms(), urgent=stream.kind == StreamKind.TRANSACTIONAL,
    )  # fmt: skip


def tenant_named(name: str) -> Tenant:
    found = Tenant.objects.filter(name=name).first()
    if found is None:
        raise Refused("TENANT", f"there is no tenant named {name!r}.")
    return found


def address_named(text: str) -> Address:
    try:
        return parse_address(text)
    except AddressError as error:
        raise Refused("ADDRESS", f"{text[:80]!r} is no mail address: {error.reason}.") from None


def hosts_told(found: Route) -> tuple[HostTold, ...]:
    return tuple(HostTold(host.name, host.preference, host.addresses) for host in found.hosts)


def limits_told(explained: Explained) -> tuple[LimitTold, ...]:
    return tuple(
        LimitTold(
            name, getattr(explained.limits, name), explained.origin[name],
            *explained.across.get(name, (None, "")),
        )
        for name in VALUES
    )  # fmt: skip


def lanes_told(stream: Stream, domain: str) -> tuple[LaneTold, ...]:
    """The lanes in which something waits, the first to go first."""
    now = timezone.now()
    rows = Lane.objects.filter(stream=stream, domain=domain, due_at__isnull=False)
    return tuple(
        LaneTold(
            URGENCY.get(row.priority, "bulk"),
            row.due_at,
            row.wait_until if row.wait_until > now else None,
            row.hold_reason,
        )
        for row in rows.order_by("priority", "due_at")
    )


def suspensions_of(tenant: str, sites: set[str], sources: Sequence[SourceTold]) -> tuple[Stop, ...]:
    """Suspensions in force for the tenant, the site (by any of its names) or the pool's sources."""
    rows = Suspension.objects.filter(
        Q(ends_at__isnull=True) | Q(ends_at__gt=timezone.now()),
        Q(scope="tenant", key=tenant)
        | Q(scope="site", key__in=sites - {""})
        | Q(scope="provider", key__in=sites - {""})
        | Q(scope="source", key__in=[source.name for source in sources]),
    )
    return tuple(Stop(row.scope, row.key, row.reason, row.ends_at) for row in rows)


def suppressions_of(tenant_id: int, stream_id: int, address: str) -> tuple[Stop, ...]:
    rows = Suppression.objects.filter(
        Q(tenant__isnull=True) | Q(tenant_id=tenant_id),
        Q(stream__isnull=True) | Q(stream_id=stream_id),
        Q(expires_at__isnull=True) | Q(expires_at__gt=timezone.now()),
        address=normalise(address),
    ).select_related("tenant", "stream")
    return tuple(
        Stop(row.reason, whose(row.stream, row.tenant), row.origin, row.expires_at) for row in rows
    )


def whose(stream: Stream | None, tenant: Tenant | None) -> str:
    if stream is not None:
        return f"stream {stream.name}"
    return f"tenant {tenant.name}" if tenant is not None else "all tenants"
