"""Resolve: from a domain to an egress path, or to the reason why there is none.

Rule 1: a convoy is routed together: one question to Redis for the limits of all its batches.
Rule 2: what cannot go now is not tried: its lane waits until it may (mta.spool.waiting).
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime

from django.db import connection

from mta import wiring
from mta.delivery.batch import Batch, Outcome, Path
from mta.delivery.choose import Taken, Wait, Way, decide, rooms
from mta.delivery.path_limits import path_limits
from mta.delivery.shaping import rules
from mta.egress.sources import PoolFacts, Snapshot, SourceFacts, snapshot, suspended
from mta.egress.warmup import allowance, is_warming
from mta.limits.egress import Bucket, Room
from mta.net.dns import ResolveError, Route
from mta.net.smtp_envelope import Timeouts
from mta.policy.shaping import limits_for, providers
from mta.policy.site import provider_of, site_name
from mta.spool import waiting
from mta.spool.streams import stream_facts
from mta.storage import bulk
from mta.storage.fields import now_ms
from mta.suppression.lookup import normalise, suppressed_among

#: How often a pool is asked to overflow into the next one.
MOST_OVERFLOWS = 5
#: A suspension without an end is looked at again after this, ms; who resumes wakes the lanes.
SUSPENDED_MS = 60_000


@dataclass(slots=True)
class Plan:
    """A batch whose way is looked for."""

    batch: Batch
    #: Recipients without an outcome.
    waiting: list[int]
    site: str
    provider: str
    found: Route
    pool: PoolFacts | None
    #: The first reason to wait that was met; overflow pools do not change it.
    wait: Wait | None = None


def route(
    batches: Sequence[Batch], found: Mapping[str, Route | ResolveError], rng: random.Random
) -> list[Batch]:
    """The batches with their paths; with an outcome for each recipient that has none.

    `found` are the answers of the DNS by domain. Raises redis.RedisError.
    """
    unwanted = refused(batches)
    done: dict[int, Batch] = {}
    plans: list[Plan] = []
    egress = snapshot()
    for batch in batches:
        known = batch.with_outcomes(*unwanted[batch.token])
        answer = found[batch.domain]
        if isinstance(answer, ResolveError):
            done[batch.token] = unresolved(known, answer)
        else:
            plan = planned(known, answer, egress)
            if (stop := stopped(plan)) is not None:
                done[batch.token] = put_off(plan.batch, plan.waiting, stop)
            else:
                plans.append(plan)
    for plan, end in ways_for(plans, egress, rng):
        done[plan.batch.token] = ended(plan, end)
    return [done[batch.token] for batch in batches]


def waiting_of(batch: Batch) -> list[int]:
    """Recipients whose outcome is not known."""
    decided = batch.decided()
    return [rid for rid in batch.recipient_ids if rid not in decided]


def unresolved(batch: Batch, error: ResolveError) -> Batch:
    """The look-up failed: that is an attempt of each recipient."""
    now = now_ms()
    return batch.with_outcomes(
        *(
            outcome(rid, "", "dns", error.text, now, batch)._replace(
                code=error.code, enhanced=error.enhanced
            )
            for rid in waiting_of(batch)
        )
    )


def planned(batch: Batch, found: Route, egress: Snapshot) -> Plan:
    names = [host.name for host in found.hosts]
    return Plan(
        batch, waiting_of(batch), site_name(names), provider_of(names, providers(rules())), found,
        egress.pools.get(batch.pool_id or stream_facts(batch.stream_id).pool_id),
    )  # fmt: skip


def stopped(plan: Plan) -> Wait | None:
    """What a person has suspended of it."""
    tenant = stream_facts(plan.batch.stream_id).tenant_name
    until = now_ms() + SUSPENDED_MS
    for scope, key in (
        ("tenant", tenant), ("site", plan.site), ("site", plan.batch.domain),
        ("site", plan.provider), ("provider", plan.provider),
    ):  # fmt: skip
        if key and suspended(scope, key):
            return Wait(until, f"the {scope} is suspended", waiting.suspended(scope, key))
    return None


def put_off(batch: Batch, rids: Sequence[int], wait: Wait) -> Batch:
    """These recipients go back untried; their lane waits."""
    now = now_ms()
    return batch.with_outcomes(
        *(
            outcome(rid, "limited", "local", wait.reason, now, batch)._replace(
                until=wait.until, gate=wait.gate
            )
            for rid in rids
        )
    )


def ways_for(
    plans: Sequence[Plan], egress: Snapshot, rng: random.Random
) -> list[tuple[Plan, Taken | Wait]]:
    """For each plan a way, or why it waits; overflow pools are asked in turn."""
    ends: list[tuple[Plan, Taken | Wait]] = []
    open_plans = [plan for plan in plans if plan.waiting]
    ends += [(plan, Wait(0, "")) for plan in plans if not plan.waiting]
    for _ in range(MOST_OVERFLOWS):
        further = []
        ways = {plan.batch.token: ways_of(plan, egress) for plan in open_plans}
        room = iter(rooms([way for plan in open_plans for way in ways[plan.batch.token]]))
        for plan in open_plans:
            pairs: list[tuple[Way, Room]] = [(way, next(room)) for way in ways[plan.batch.token]]
            end = taken_or_wait(plan, pairs, rng)
            plan.wait = plan.wait or (end if isinstance(end, Wait) else None)
            overflow = egress.pools.get(plan.pool.overflow_id or 0) if plan.pool else None
            if isinstance(end, Wait) and end.overflows and overflow is not None:
                plan.pool = overflow
                further.append(plan)
            else:
                ends.append((plan, plan.wait if isinstance(end, Wait) and plan.wait else end))
        open_plans = further
        if not open_plans:
            break
    return ends + [(plan, plan.wait or NOBODY) for plan in open_plans]


NOBODY = Wait(0, "no pool")


def taken_or_wait(
    plan: Plan, pairs: Sequence[tuple[Way, Room]], rng: random.Random
) -> Taken | Wait:
    if plan.pool is None:
        until = now_ms() + SUSPENDED_MS
        return Wait(until, "no active source in pool ?", waiting.suspended("pool", "?"))
    return decide(plan.batch, plan.pool, pairs, len(plan.waiting), rng)


def ways_of(plan: Plan, egress: Snapshot) -> list[Way]:
    """The sources of the plan's pool that may be used at all."""
    if plan.pool is None:
        return []
    return [
        way_of(plan, source, weight) for source, weight in plan.pool.members
        if source.status == "active" and not egress.is_suspended("source", source.name)
    ]  # fmt: skip


def way_of(plan: Plan, source: SourceFacts, weight: int) -> Way:
    now = today()
    names = [host.name for host in plan.found.hosts]
    explained = limits_for(rules(), site=plan.site, mx_hosts=names, source=source.name)
    warmup = allowance(source, explained.provider or plan.site, now.date())
    stream = stream_facts(plan.batch.stream_id)
    limits = path_limits(plan.batch, stream, source, plan.site, explained, warmup, None, now)
    return Way(
        source, weight, plan.site, plan.found, explained, limits, None,
        warmup is not None and is_warming(source.id),
    )  # fmt: skip


def ended(plan: Plan, end: Taken | Wait) -> Batch:
    """The batch with its path, as far as it may go now."""
    if isinstance(end, Wait):
        return put_off(plan.batch, plan.waiting, end)
    batch = replace(plan.batch, path=path_of(end.way))
    if end.free is None or end.free >= len(plan.waiting):
        return batch
    batch = replace(batch, window=max(1, end.free))
    return put_off(batch, plan.waiting[end.free :], end.wait)


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


def today() -> datetime:
    return datetime.now(UTC)


def path_of(way: Way) -> Path:
    source, limits, shaped = way.source, way.limits, way.explained.limits
    return Path(
        site=way.site,
        provider=way.explained.provider,
        hosts=tuple((host.name, host.addresses) for host in way.found.hosts),
        source_id=source.id,
        source_name=source.name,
        source_address=source.address,
        ehlo_name=source.ehlo_name or wiring.config().hostname,
        tls=shaped.tls,
        connections=limits.connections,
        messages_per_connection=limits.messages_per_connection,
        timeouts=tuple(getattr(shaped, f"{item.name}_timeout") for item in fields(Timeouts)),
        queue="",
        buckets=bucket_rows(limits.buckets),
        counters=tuple((c.key, c.limit, c.ttl, c.ends_at) for c in limits.counters),
        slots=limits.slots,
        opens=bucket_rows(limits.opens),
        rate=limits.rate,
        throttled=way.throttled is not None,
        probe=way.throttled.probe if way.throttled else "",
        retry_steps=shaped.retry_steps,
        life_hours=shaped.life_hours,
    )


def bucket_rows(buckets: Sequence[Bucket]) -> tuple[tuple[str, float, int], ...]:
    return tuple((bucket.key, bucket.per_second, bucket.burst) for bucket in buckets)
