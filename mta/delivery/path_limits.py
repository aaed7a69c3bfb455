"""The limits that a message has to pass on its way down an egress path, as rows of the path.

Rule 1: what a rule sets is counted for whom the rule speaks about: a provider's for all its sites
        together, a site's and the default for each site; always for one source.
Rule 2: tenant, stream and source have limits of their own beside it; so has a warming source
        towards a provider, and a path that replies have slowed.
Rule 3: a key names whom it counts, so that the queue page can say it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mta.delivery.batch import Batch
from mta.egress.sources import SourceFacts
from mta.egress.warmup import Allowance
from mta.limits.egress import Bucket, Counter
from mta.policy.shaping import Explained, natural_burst
from mta.policy.throttled import Throttled
from mta.spool.quota import quota_counters
from mta.spool.streams import StreamFacts

DAY_SECONDS = 86_400
#: How keys name the period of a rate.
PERIOD = {1: "rate", 60: "minute", 3600: "hour", DAY_SECONDS: "day"}
BY_NAME = {
    "messages_per_second": "rate", "messages_per_minute": "minute", "messages_per_hour": "hour",
    "messages_per_day": "day",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class PathLimits:
    """All limits of one source for one batch."""

    buckets: tuple[Bucket, ...]
    counters: tuple[Counter, ...]
    #: (key, limit) of the leases that a connection needs.
    slots: tuple[tuple[str, int], ...]
    #: Rates of new connections.
    opens: tuple[Bucket, ...]
    #: Most connections from the source to the site.
    connections: int
    messages_per_connection: int
    #: Messages a second that the source may send to the site; 0 is without limit.
    rate: float

    def warmup_keys(self) -> set[str]:
        """Keys of what holds a warming source back."""
        both: Sequence[Bucket | Counter] = (*self.buckets, *self.counters)
        return {one.key for one in both if one.key.startswith("warmup")}


def path_limits(
    batch: Batch, stream: StreamFacts, source: SourceFacts, site: str, explained: Explained,
    warmup: Allowance | None, throttled: Throttled | None, now: datetime,
) -> PathLimits:  # fmt: skip
    """Everything that limits this batch from this source to this site."""
    here, across = f"{source.name}:{site}", f"{source.name}:@{explained.provider}"
    reach = explained.provider or site
    rates = explained.rates()
    buckets = [
        Bucket(f"{BY_NAME[one.name]}:{across if one.across else here}", one.per_second, one.burst)
        for one in rates
    ]
    # The rate at which it may go at all: what a day allows is used up at this one.
    fastest = rates[0].name if rates else ""
    rate = min((one.per_second for one in rates if one.name == fastest), default=0.0)
    buckets += totals(f"source:{source.name}", source.rates)
    buckets += totals(f"stream:{batch.stream_id}", stream.rates)
    if stream.tenant_per_second:
        buckets += totals(f"tenant:{batch.tenant_id}", ((stream.tenant_per_second, 1),))
    counters = list(quota_counters(batch.tenant_id, now))
    if warmup is not None:
        counters.append(warmup_counter(source.name, reach, warmup.cap, now))
        if warmup.per_second:
            key = f"warmup-spread:{source.name}:{reach}"
            buckets.append(Bucket(key, warmup.per_second, warmup.burst))
    if throttled is not None and throttled.rate:
        scope = f"{source.name}:@{throttled.reach}" if throttled.reach else here
        buckets.append(Bucket(f"throttle:{scope}", throttled.rate, max(1, throttled.burst)))
        rate = min(rate or throttled.rate, throttled.rate)
    slots, connections = slots_of(explained, here, across, throttled)
    most = explained.limits.messages_per_connection
    if throttled is not None and throttled.messages_per_connection:
        most = min(most, throttled.messages_per_connection)
    return PathLimits(
        tuple(buckets), tuple(counters), slots, opens_of(explained, here, across), connections,
        most, rate,
    )  # fmt: skip


def totals(whose: str, rates: Sequence[tuple[float, int]]) -> list[Bucket]:
    """The limits of a tenant, stream or source in all."""
    return [
        Bucket(f"{PERIOD[seconds]}:{whose}", rate / seconds, natural_burst(rate, seconds))
        for rate, seconds in rates
    ]


def slots_of(
    explained: Explained, here: str, across: str, throttled: Throttled | None
) -> tuple[tuple[tuple[str, int], ...], int]:
    """(leases of a connection, most connections to the site)."""
    found: dict[str, int] = {}
    if explained.alone("connections"):
        found[here] = explained.limits.connections
    if shared := int(explained.across.get("connections", (0, ""))[0]):
        found[across] = shared
    if throttled is not None and throttled.connections:
        key = across if throttled.reach else here
        found[key] = min(throttled.connections, found.get(key, throttled.connections))
    slots = tuple((f"connections:{key}", limit) for key, limit in found.items())
    return slots, min(found.values())


def opens_of(explained: Explained, here: str, across: str) -> tuple[Bucket, ...]:
    """Rates of new connections; a minute's worth may open at once."""
    found = []
    name = "connections_per_minute"
    if explained.alone(name) and (alone := explained.limits.connections_per_minute):
        found.append(Bucket(f"opens:{here}", alone / 60, alone))
    if shared := int(explained.across.get(name, (0, ""))[0]):
        found.append(Bucket(f"opens:{across}", shared / 60, shared))
    return tuple(found)


def warmup_counter(source: str, reach: str, cap: int, now: datetime) -> Counter:
    """The day's count of one source and provider (or site, where there is no provider)."""
    tomorrow = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    ends = round(tomorrow.timestamp() * 1000)
    return Counter(f"warmup:{source}:{reach}:{now:%Y-%m-%d}", cap, 2 * DAY_SECONDS, ends)
