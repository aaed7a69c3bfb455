"""Resolve: from a domain to an egress path, or to the reason why there is none."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
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
from mta.storage import bulk
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


def route(
    batches: Sequence[Batch], found: Mapping[str, Route | ResolveError], rng: random.Random
) -> list[Batch]:
    """The batches with their paths; with an outcome for each recipient that has none.

    `found` are the answers of the DNS by domain.
    """
    unwanted = refused(batches)
    return [
        routed(batch.with_outcomes(*unwanted[batch.token]), found[batch.domain], rng)
        for batch in batches
    ]


def routed(batch: Batch, found: Route | ResolveError, rng: random.Random) -> Batch:
    """One batch with its path or with outcomes."""
    decided = batch.decided()
    waiting = [rid for rid in batch.recipient_ids if rid not in decided]
    now = now_ms()
    if isinstance(found, ResolveError):
        return batch.with_outcomes(
            *(
                outcome(rid, "", "dns", found.text, now, batch)._replace(
                    code=found.code, enhanced=found.enhanced
                )
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
                outcome(rid, "postponed", "local", chosen.reason, now, batch)._replace(
                    until=chosen.until
                )
                for rid in waiting
            )
        )  # fmt: skip
    explained = limits_for(rules(), site=site, mx_hosts=names, source=chosen.name)
    return replace(batch, path=path_of(found, site, explained, chosen))


def outcome(rid: int, kind: str, stage: str, reply: str, now: int, batch: Batch) -> Outcome:
    return Outcome(rid, kind, stage, reply, at=now, took_ms=now - batch.claimed_at)


def refused(batches: Sequence[Batch]) -> dict[int, list[Outcome]]:
    """By token: recipients suppressed, or out of time, since they were taken in."""
    now = now_ms()
    owners = {batch.token: batch for batch in batches}
    condition, params = bulk.numbers("r.claim_token", list(owners))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT r.claim_token, r.id, r.address, m.expires_at <= %s FROM spool_recipient r "  # noqa: S608
            "JOIN spool_message m ON m.id = r.message_id "
            f"WHERE {condition} AND r.state = 'claimed'",
            [now, *params],
        )
        rows = cursor.fetchall()
    # Compared in Python: databases disagree on what is lower case beyond ASCII.
    streams: dict[tuple[int, int], list[str]] = defaultdict(list)
    for token, _, address, _ in rows:
        streams[owners[token].tenant_id, owners[token].stream_id].append(address)
    unwanted = {key: suppressed_among(*key, addresses) for key, addresses in streams.items()}
    found: dict[int, list[Outcome]] = {token: [] for token in owners}
    for token, rid, address, expired in rows:
        batch = owners[token]
        if expired:
            why = "time for delivery ran out"
            found[token].append(outcome(rid, "postponed", "local", why, now, batch))
        elif (names := unwanted[batch.tenant_id, batch.stream_id]) and normalise(address) in names:
            why = "the address is suppressed"
            found[token].append(outcome(rid, "suppressed", "local", why, now, batch))
    return found


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
