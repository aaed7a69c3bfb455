"""How mail of a tenant to an address would go: site, limits with their rules, sources, and when.

Nothing is sent. The rate is asked for one token, which is given back at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import Q
from django.utils import timezone

from dashboard.explain_sources import SourceTold, sources_told
from mta.control.refusal import Refused
from mta.delivery.network import route_to
from mta.delivery.shaping import rules
from mta.egress.models import Suspension
from mta.egress.sources import read_pools
from mta.mail.address import Address, AddressError, parse_address
from mta.net.dns import ResolveError, Route
from mta.policy.shaping import VALUES, Explained, limits_for
from mta.policy.site import site_name
from mta.spool.models import Lane
from mta.suppression.lookup import normalise
from mta.suppression.models import Suppression
from mta.tenants.models import Stream, Tenant
from mta.tenants.senders import StreamUnknown, stream_for

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


@dataclass(frozen=True, slots=True)
class Stop:
    """A person's word or a list entry that keeps this mail back."""

    kind: str
    key: str
    reason: str
    ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class Next:
    """When the next message may go, and why not before; `at` is empty when nobody knows."""

    at: datetime | None
    reason: str


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
    names = [] if isinstance(found, ResolveError) else [host.name for host in found.hosts]
    site = site_name(names) if names else ""
    explained = limits_for(rules(), site=site, mx_hosts=names)
    pools = read_pools()
    sources = sources_told(pools, chosen.pool_id, site, names) if names else ()
    stops = suspensions_of(owner.name, {to.domain, site, explained.provider}, sources)
    unwanted = suppressions_of(owner.pk, chosen.pk, str(to))
    lane = Lane.objects.filter(stream=chosen, domain=to.domain).first()
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
        pool=pools[chosen.pool_id].name,
        sources=sources,
        suspensions=stops,
        suppressions=unwanted,
        next=next_message(found, stops, unwanted, sources, lane),
    )


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
        LimitTold(name, getattr(explained.limits, name), explained.origin[name]) for name in VALUES
    )


def suspensions_of(tenant: str, sites: set[str], sources: Sequence[SourceTold]) -> tuple[Stop, ...]:
    """Suspensions in force for the tenant, the site (by any of its names) or the pool's sources."""
    rows = Suspension.objects.filter(
        Q(ends_at__isnull=True) | Q(ends_at__gt=timezone.now()),
        Q(scope="tenant", key=tenant)
        | Q(scope="site", key__in=sites - {""})
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


def next_message(
    found: Route | ResolveError,
    stops: Sequence[Stop],
    unwanted: Sequence[Stop],
    sources: Sequence[SourceTold],
    lane: Lane | None,
) -> Next:
    """The first thing that keeps the next message back, in the order in which delivery asks."""
    now = timezone.now()
    if unwanted:
        return Next(None, f"never: the address is suppressed for {unwanted[0].key}")
    for stop in stops:
        if stop.kind in {"tenant", "site"}:
            until = "until it ends" if stop.ends_at else "until somebody resumes it"
            return Next(stop.ends_at, f"{stop.kind} {stop.key} is suspended {until}")
    if isinstance(found, ResolveError):
        what = "bounces" if found.permanent else "is tried again later"
        return Next(None if found.permanent else now, f"mail {what}: {found}")
    able = [source for source in sources if source.status == "active" and not source.suspended]
    if not able:
        return Next(None, "no source of the pool may send: resume one, or add one to the pool")
    return next_from([source for source in able if source.remaining != 0], now, lane)


def next_from(free: Sequence[SourceTold], now: datetime, lane: Lane | None) -> Next:
    """What rates, connections and the queue say; `free` have room under their warmup cap."""
    if not free:
        midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return Next(midnight + timedelta(days=1), "the warmup caps of today are used up")
    known = [source for source in free if source.retry_in is not None]
    if not known:
        return Next(None, "Redis does not answer: rates and connections are not known")
    best = min(known, key=lambda source: source.retry_in or 0.0)
    if best.retry_in:
        at = now + timedelta(seconds=best.retry_in)
        return Next(at, f"the rate of {best.messages_per_second:g} a second is used up")
    if all((source.connections_used or 0) >= source.connections for source in known):
        return Next(now, "all connections to the site are in use: when one is free")
    if lane is not None and lane.hold_reason and lane.due_at and lane.due_at > now:
        return Next(lane.due_at, f"the queue was put off: {lane.hold_reason}")
    return Next(now, "nothing keeps it back")
