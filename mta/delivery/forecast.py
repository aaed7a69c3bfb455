"""When a campaign's waiting mail will be gone under the limits in force.

Rule 1: one grouped query counts what waits; the rest is arithmetic (mta.policy.forecast).
Rule 2: mail to one provider shares its limits, so it is one line; a site without provider is one.
Rule 3: what a person keeps back has no end, and says so.
Rule 4: what is assumed is told with the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

import redis

from mta.delivery.forecast_sources import (
    PER_CONNECTION,
    Live,
    Way,
    needed_shares,
    read_live,
    source_rates,
)
from mta.delivery.shaping import rules
from mta.egress.sources import Snapshot, snapshot
from mta.policy.forecast import DAY, Ending, Queue, ending
from mta.policy.shaping import providers
from mta.policy.site import provider_of
from mta.spool.streams import StreamFacts, stream_facts
from mta.storage.fields import from_ms
from mta.storage.statement import rows as run
from mta.tenants.models import QuotaAction, Tenant

#: Lines of an answer; a campaign can go to more sites than anybody reads.
MOST_LINES = 100
ASSUMED = (
    f"a connection carries {PER_CONNECTION:g} messages a second",
    "no other mail waits for the same receivers",
    "everything is accepted at the first attempt, and the limits stay what they are now",
    "done_at: warmup stages rise after each day that fills them; latest_at: they stay",
)
UNKNOWN = "domains that nobody has looked up yet count as sites of their own"
BLIND = "nothing of today's warmup is used up, and no receiver slows us down: Redis is silent"


@dataclass(frozen=True, slots=True)
class ForecastLine:
    """What waits for one provider (or site); an instant is None when there is no end in sight."""

    reach: str
    stream: str
    waiting: int
    known: bool  #: its MX hosts have been looked up
    done_at: datetime | None
    latest_at: datetime | None
    limited_by: str


@dataclass(frozen=True, slots=True)
class Forecast:
    """The answer; `lines` are those that end last, `more_lines` how many were left out."""

    tenant: str
    campaign: str
    at: datetime
    waiting: int
    held: int
    done_at: datetime | None
    latest_at: datetime | None
    limited_by: str
    lines: tuple[ForecastLine, ...]
    more_lines: int
    assumptions: tuple[str, ...]


@dataclass(slots=True)
class Group:
    """Mail of one stream through one pool to one reach."""

    stream: StreamFacts
    pool_id: int
    reach: str
    provider: str
    known: bool
    stopped: str
    waiting: int = 0
    sites: set[str] = field(default_factory=set)
    last_at: datetime | None = None

    @property
    def way(self) -> Way:
        return Way(self.pool_id, self.reach, self.provider, tuple(sorted(self.sites)))


def forecast(tenant: Tenant, campaign: str, now: datetime) -> Forecast | None:
    """The forecast of a tenant's campaign; None when nothing of it is unfinished."""
    rows = counted(tenant, campaign)
    if not rows:
        return None
    egress = snapshot()
    groups = grouped(rows, tenant, campaign, egress)
    assumed = list(ASSUMED)
    try:
        live = read_live([group.way for group in groups], egress, now)
    except redis.RedisError:
        live = Live()
        assumed.append(BLIND)
    if not all(group.known for group in groups):
        assumed.append(UNKNOWN)
    shares = needed_shares()
    lines = sorted((line_of(g, egress, live, shares, now) for g in groups), key=last_first)
    totals = totals_of(groups, tenant, now)
    last = min([*lines, *totals], key=last_first, default=None)
    return Forecast(
        tenant=tenant.name,
        campaign=campaign,
        at=now,
        waiting=sum(group.waiting for group in groups),
        held=sum(row.number for row in rows if row.state == "held"),
        done_at=last.done_at if last else None,
        latest_at=later([line.latest_at for line in [*lines, *totals]]),
        limited_by=last.limited_by if last else "held",
        lines=tuple(lines[:MOST_LINES]),
        more_lines=max(0, len(lines) - MOST_LINES),
        assumptions=tuple(assumed),
    )


# The last condition is that of the index, word for word: SQLite proves nothing by itself.
OF_CAMPAIGN = "m.tenant_id = %s AND m.campaign = %s AND NOT (m.campaign = '')"
COUNTED = (
    "SELECT l.domain, l.site, l.stream_id, l.pool_id, r.state, count(*), max(r.next_attempt_at) "  # noqa: S608
    "FROM spool_message m JOIN spool_recipient r ON r.message_id = m.id "
    f"JOIN spool_lane l ON l.id = r.lane_id WHERE {OF_CAMPAIGN} "
    "AND r.state IN ('scheduled', 'deferred', 'claimed', 'held') "
    "GROUP BY l.domain, l.site, l.stream_id, l.pool_id, r.state"
)


class Counted(NamedTuple):
    """What is unfinished of one queue in one state."""

    domain: str
    site: str
    stream_id: int
    pool_id: int
    state: str
    number: int
    #: Latest next attempt, ms; None where there is none.
    last: int | None


def is_campaign(tenant: Tenant, campaign: str) -> bool:
    """Whether the tenant has mail of this campaign, finished or not."""
    wanted = f"SELECT 1 FROM spool_message m WHERE {OF_CAMPAIGN} LIMIT 1"  # noqa: S608
    return bool(run(wanted, [tenant.pk, campaign]))


def counted(tenant: Tenant, campaign: str) -> list[Counted]:
    """Unfinished recipients of the campaign by queue and state."""
    return [Counted(*row) for row in run(COUNTED, [tenant.pk, campaign])]


def grouped(
    rows: Sequence[Counted], tenant: Tenant, campaign: str, egress: Snapshot
) -> list[Group]:
    """What waits, by stream, pool and reach; mail that a person holds is left out."""
    known = providers(rules())
    found: dict[tuple[int, int, str, str], Group] = {}
    for row in rows:
        if row.state == "held":
            continue
        site = row.site or row.domain
        provider = provider_of([site], known)
        stream = stream_facts(row.stream_id)
        pool_id = row.pool_id or stream.pool_id
        stopped = stopped_by(egress, tenant, campaign, row.domain, site, provider)
        group = found.setdefault(
            (stream.id, pool_id, provider or site, stopped),
            Group(stream, pool_id, provider or site, provider, bool(row.site), stopped),
        )
        group.waiting += row.number
        group.sites.add(site)
        if row.last is not None:
            group.last_at = max(group.last_at or from_ms(0), from_ms(row.last))
    return list(found.values())


def stopped_by(
    egress: Snapshot, tenant: Tenant, campaign: str, domain: str, site: str, provider: str
) -> str:
    """What a person has suspended that keeps this mail back; "" when nothing does."""
    keys = {
        "tenant": (tenant.name,), "campaign": (f"{tenant.name}/{campaign}",),
        "site": (domain, site, provider), "provider": (provider,),
    }  # fmt: skip
    stopped = (scope for scope, names in keys.items() if egress.is_suspended(scope, *names))
    return next((f"the {scope} is suspended" for scope in stopped), "")


def line_of(
    group: Group, egress: Snapshot, live: Live, shares: dict[str, float], now: datetime
) -> ForecastLine:
    queue = Queue(
        group.waiting,
        () if group.stopped else source_rates(group.way, egress, live, shares, now),
        max(0.0, (group.last_at - now).total_seconds()) if group.last_at else 0.0,
    )
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    rising, staying = (
        ending(queue, (midnight - now).total_seconds(), rising=rising) for rising in (True, False)
    )
    return ForecastLine(
        group.reach, group.stream.name, group.waiting, group.known,
        instant(rising, now), instant(staying, now), group.stopped or rising.limited_by,
    )  # fmt: skip


def totals_of(groups: Sequence[Group], tenant: Tenant, now: datetime) -> list[ForecastLine]:
    """What the streams and the tenant may send in all, as lines of their own."""
    rates: list[tuple[str, float, int]] = []
    for stream in {group.stream.id: group.stream for group in groups}.values():
        mine = sum(group.waiting for group in groups if group.stream.id == stream.id)
        rates += [(f"stream {stream.name}", n / seconds, mine) for n, seconds in stream.rates]
    waiting = sum(group.waiting for group in groups)
    whose = f"tenant {tenant.name}"
    rates.append((whose, tenant.messages_per_second or 0.0, waiting))
    if tenant.quota_action == QuotaAction.DELAY:
        rates.append((f"quota of {whose}", (tenant.quota_per_hour or 0) / 3600, waiting))
        rates.append((f"quota of {whose}", (tenant.quota_per_day or 0) / DAY, waiting))
    return [
        ForecastLine("", "", n, True, at, at, name)
        for name, rate, n in rates
        if rate and (at := instant(Ending(n / rate, name), now))
    ]


def instant(end: Ending, now: datetime) -> datetime | None:
    return None if end.seconds is None else now + timedelta(seconds=end.seconds)


def last_first(line: ForecastLine) -> tuple[bool, float]:
    """Sorts what does not end first, then what ends last."""
    return line.done_at is not None, -(line.done_at.timestamp() if line.done_at else 0.0)


def later(instants: Sequence[datetime | None]) -> datetime | None:
    """The last of them; None when one has no end."""
    known = [at for at in instants if at is not None]
    return max(known, default=None) if len(known) == len(instants) else None
