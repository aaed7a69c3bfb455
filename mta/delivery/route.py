"""Resolve: from a domain to an egress path, or to the reason why there is none."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta

from django.db import connection

from mta import wiring
from mta.delivery.batch import Batch, Outcome, Path
from mta.delivery.shaping import rules
from mta.egress.sources import PoolFacts, Snapshot, SourceFacts, snapshot, suspended
from mta.limits.egress import Counter
from mta.net.dns import ResolveError, Route
from mta.net.smtp_envelope import Timeouts
from mta.policy.balance import Candidate, choose_source
from mta.policy.shaping import Explained, limits_for, providers
from mta.policy.site import provider_of, site_name
from mta.spool.streams import StreamFacts, stream_facts
from mta.storage.fields import now_ms
from mta.suppression.lookup import normalise, suppressed_among

DAY_SECONDS = 86_400
#: Why mail waits for a person; `resume` looks for these words.
TENANT_SUSPENDED = "the tenant is suspended"
SITE_SUSPENDED = "the site is suspended"
NO_ACTIVE_SOURCE = "no active source in pool"
#: How often a pool is asked to overflow into the next one.
MOST_OVERFLOWS = 5


@dataclass(frozen=True, slots=True)
class NoSource:
    """Why no source may send now, and when it is worth asking again (ms)."""

    reason: str
    until: int


def route(batch: Batch, found: Route | ResolveError, rng: random.Random) -> Batch:
    """The batch with its path; with an outcome for each recipient that has none.

    `found` is the answer of the DNS for the batch's domain.
    """
    batch = batch.with_outcomes(*refused(batch))
    waiting = [rid for rid in batch.recipient_ids if rid not in batch.decided()]
    now = now_ms()
    if isinstance(found, ResolveError):
        return batch.with_outcomes(
            *(
                replace(outcome(rid, "", "dns", found.text, now, batch),
                        code=found.code, enhanced=found.enhanced)
                for rid in waiting
            )
        )  # fmt: skip
    names = [host.name for host in found.hosts]
    site = site_name(names)
    provider = provider_of(names, providers(rules()))
    chosen = source_for(batch, site, provider, snapshot(), rng)
    if isinstance(chosen, NoSource):
        return batch.with_outcomes(
            *(
                replace(outcome(rid, "postponed", "local", chosen.reason, now, batch),
                        until=chosen.until)
                for rid in waiting
            )
        )  # fmt: skip
    explained = limits_for(rules(), site=site, mx_hosts=names, source=chosen.name)
    return replace(batch, path=path_of(found, site, explained, chosen))


def outcome(rid: int, kind: str, stage: str, reply: str, now: int, batch: Batch) -> Outcome:
    return Outcome(rid, kind, stage, reply, at=now, took_ms=now - batch.claimed_at)


def refused(batch: Batch) -> list[Outcome]:
    """Recipients that became suppressed, or whose time ran out, since they were taken in."""
    now = now_ms()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT r.id, r.address, m.expires_at <= %s FROM spool_recipient r "
            "JOIN spool_message m ON m.id = r.message_id "
            "WHERE r.claim_token = %s AND r.state = 'claimed' ORDER BY r.id",
            [now, batch.token],
        )
        held = cursor.fetchall()
    # Compared in Python: databases disagree on what is lower case beyond ASCII.
    unwanted = suppressed_among(batch.tenant_id, batch.stream_id, [row[1] for row in held])
    return [
        outcome(rid, "postponed", "local", "time for delivery ran out", now, batch)
        if expired
        else outcome(rid, "suppressed", "local", "the address is suppressed", now, batch)
        for rid, address, expired in held
        if expired or normalise(address) in unwanted
    ]


def warmup_counter(source: str, provider: str, cap: int, day: str) -> Counter:
    """The day's count of one source and provider (or site, where there is no provider)."""
    return Counter(f"warmup:{source}:{provider}:{day}", cap, 2 * DAY_SECONDS)


def today() -> datetime:
    return datetime.now(UTC)


def source_for(
    batch: Batch, site: str, provider: str, egress: Snapshot, rng: random.Random
) -> SourceFacts | NoSource:
    """A source of the stream's pool that is free to send; overflow pools are asked in turn."""
    stream: StreamFacts = stream_facts(batch.stream_id)
    if suspended("tenant", stream.tenant_name):
        return NoSource(TENANT_SUSPENDED, now_ms() + 60_000)
    if suspended("site", site, batch.domain, provider):
        return NoSource(SITE_SUSPENDED, now_ms() + 60_000)
    pool = egress.pools.get(stream.pool_id)
    capped = False
    for _ in range(MOST_OVERFLOWS):
        if pool is None or not pool.members:
            break
        members = [
            (s, w) for s, w in pool.members
            if s.status == "active" and not egress.is_suspended("source", s.name)
        ]  # fmt: skip
        chosen = choose(members, batch.bound_source_id, provider or site, rng)
        if chosen is not None:
            return chosen
        capped = capped or bool(members)
        pool = egress.pools.get(pool.overflow_id or 0)
    return no_source(capped, egress.pools.get(stream.pool_id))


def no_source(capped: bool, pool: PoolFacts | None) -> NoSource:
    if capped:
        tomorrow = today().replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        return NoSource("warmup caps of today are reached", round(tomorrow.timestamp() * 1000))
    name = pool.name if pool else "?"
    return NoSource(f"{NO_ACTIVE_SOURCE} {name}", now_ms() + 60_000)


def choose(
    members: Sequence[tuple[SourceFacts, int]], bound: int | None, reach: str, rng: random.Random
) -> SourceFacts | None:
    """Weighted choice among members with budget left; a bound source wins while it has some."""
    date = today().date()
    caps = {s.id: s.cap(date) for s, _ in members}
    warming = [s for s, _ in members if caps[s.id] is not None]
    counters = [warmup_counter(s.name, reach, caps[s.id] or 0, str(date)) for s in warming]
    used = wiring.limits().used(counters) if counters else []
    left = {s.id: max(0, (caps[s.id] or 0) - n) for s, n in zip(warming, used, strict=True)}
    for source, _ in members:
        if source.id == bound and left.get(source.id, 1) > 0:
            return source
    picked = choose_source([Candidate(s.id, w, left.get(s.id)) for s, w in members], rng)
    return next((s for s, _ in members if s.id == picked), None)


def path_of(found: Route, site: str, explained: Explained, source: SourceFacts) -> Path:
    limits = explained.limits
    return Path(
        site=site,
        provider=explained.provider,
        hosts=tuple((host.name, host.addresses) for host in found.hosts),
        source_id=source.id,
        source_name=source.name,
        source_address=source.address,
        ehlo_name=source.ehlo_name or wiring.config().hostname,
        tls=limits.tls,
        connections=limits.connections,
        messages_per_connection=limits.messages_per_connection,
        messages_per_second=limits.messages_per_second,
        burst=limits.burst,
        connections_per_minute=limits.connections_per_minute,
        timeouts=tuple(getattr(limits, f"{item.name}_timeout") for item in fields(Timeouts)),
        day_cap=source.cap(today().date()),
        queue="",
    )
