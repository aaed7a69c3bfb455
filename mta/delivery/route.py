"""Resolve: from a domain to an egress path, or to the reason why there is none.

Rule 1: a convoy is routed together: one question to Redis for the limits of all its batches.
Rule 2: what cannot go now is not tried: its lane waits until it may (mta.spool.waiting).
Rule 3: what a person has stopped goes before what rules choose, and both before what a pool has.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from django.db import connection

from mta.delivery.batch import Batch, Outcome
from mta.delivery.choice import Choice
from mta.delivery.choose import LOOK_AGAIN_MS, Taken, Wait
from mta.delivery.routing import choices
from mta.delivery.shaping import limits_of_path
from mta.delivery.ways import Plan, path_of, ways_for
from mta.egress.sources import Snapshot, snapshot, suspended
from mta.mail.reply import ReplyError, parse_reply
from mta.net.dns import ResolveError, Route
from mta.policy.site import site_name
from mta.spool import campaigns, waiting
from mta.spool.streams import stream_facts
from mta.storage import bulk
from mta.storage.fields import now_ms
from mta.suppression.lookup import normalise, suppressed_among


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
    open_plans = [plan for plan in chosen(plans, egress) if plan.waiting]
    done |= {plan.batch.token: plan.batch for plan in plans}
    for plan, end in ways_for(open_plans, egress, rng):
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
    # A pool that somebody deleted after mail was moved to it is none.
    pool = egress.pools.get(batch.pool_id) if batch.pool_id else None
    site = site_name(names)
    return Plan(
        batch, waiting_of(batch), site, limits_of_path(site, names).provider, found,
        pool or egress.pools.get(stream_facts(batch.stream_id).pool_id),
    )  # fmt: skip


def stopped(plan: Plan) -> Wait | None:
    """What a person has suspended of it."""
    tenant = stream_facts(plan.batch.stream_id).tenant_name
    until = now_ms() + LOOK_AGAIN_MS
    for scope, key in (
        ("tenant", tenant), ("site", plan.site), ("site", plan.batch.domain),
        ("site", plan.provider), ("provider", plan.provider),
    ):  # fmt: skip
        if key and suspended(scope, key):
            return Wait(until, f"the {scope} is suspended", waiting.suspended(scope, key))
    return None


def chosen(plans: Sequence[Plan], egress: Snapshot) -> Sequence[Plan]:
    """The plans as routing rules and the hook want them."""
    sites = {plan.batch.token: (plan.site, plan.provider) for plan in plans}
    found = choices([plan.batch for plan in plans], sites) if plans else {}
    for plan in plans:
        if (choice := found.get(plan.batch.token)) is not None:
            apply(plan, choice, egress)
    return plans


def apply(plan: Plan, choice: Choice, egress: Snapshot) -> None:
    """Change the plan to what was chosen."""
    batch, now = plan.batch, now_ms()
    if choice.wait:
        plan.batch = put_off(batch, plan.waiting, Wait(now + LOOK_AGAIN_MS, choice.wait))
        plan.waiting = []
        return
    open_now = set(plan.waiting)
    more = [
        outcome(rid, "held", "local", why, now, batch)
        for rid, why in choice.held.items() if rid in open_now
    ]  # fmt: skip
    more += [
        rejected(rid, reply, now, batch)
        for rid, reply in choice.rejected.items()
        if rid in open_now
    ]
    batch = batch.with_outcomes(*more)
    apart = [rid for rid in waiting_of(batch) if rid in choice.apart]
    batch = put_off(batch, apart, Wait(now, "takes another way than the rest of its batch"))
    if choice.urgent is not None:
        batch = replace(batch, urgent=choice.urgent)
    plan.batch, plan.waiting, plan.source_id = batch, waiting_of(batch), choice.source_id
    # A pool that a person moved the mail to goes before one that a rule chose.
    if choice.pool_id and not batch.pool_id:
        plan.pool = egress.pools.get(choice.pool_id) or plan.pool


def rejected(rid: int, text: str, now: int, batch: Batch) -> Outcome:
    """Our own rules end it, with our own reply."""
    try:
        reply = parse_reply(text)
    except ReplyError:
        return outcome(rid, "rejected", "local", text, now, batch)._replace(
            code=550, enhanced="5.7.1"
        )
    return outcome(rid, "rejected", "local", reply.text, now, batch)._replace(
        code=reply.code, enhanced=reply.enhanced
    )


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


def ended(plan: Plan, end: Taken | Wait) -> Batch:
    """The batch with its path, as far as it may go now."""
    if isinstance(end, Wait):
        return put_off(plan.batch, plan.waiting, end)
    batch = replace(plan.batch, path=path_of(end.way, alone=end.alone))
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
    # Their campaigns are asked for only when a campaign is suspended at all.
    campaign = "m.campaign" if campaigns.any_suspended() else "''"
    condition, params = bulk.numbers("r.claim_token", list(owners))
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT r.claim_token, r.id, r.address, m.expires_at <= %s, {campaign} "  # noqa: S608
            "FROM spool_recipient r "
            "JOIN spool_message m ON m.id = r.message_id "
            f"WHERE {condition} AND r.state = 'claimed'",
            [now, *params],
        )
        rows = cursor.fetchall()
    # Compared in Python: databases disagree on what is lower case beyond ASCII.
    streams: dict[tuple[int, int], list[str]] = defaultdict(list)
    for token, _, address, _, _ in rows:
        streams[owners[token].tenant_id, owners[token].stream_id].append(address)
    unwanted = {key: suppressed_among(*key, addresses) for key, addresses in streams.items()}
    found: dict[int, list[Outcome]] = {token: [] for token in owners}
    for token, rid, address, expired, named in rows:
        batch = owners[token]
        if expired:
            why = "time for delivery ran out"
            found[token].append(outcome(rid, "postponed", "local", why, now, batch))
        elif (names := unwanted[batch.tenant_id, batch.stream_id]) and normalise(address) in names:
            why = "the address is suppressed"
            found[token].append(outcome(rid, "suppressed", "local", why, now, batch))
        elif named and (why := campaigns.why_held(tenant_of(batch), named)):
            found[token].append(outcome(rid, "held", "local", why, now, batch))
    return found


def tenant_of(batch: Batch) -> str:
    return stream_facts(batch.stream_id).tenant_name
