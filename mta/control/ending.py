"""What goes with an end that a person ordered: the event, and the DSN when it is asked for."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence

import orjson
import redis
from django.db import connection

from mta import wiring
from mta.events import outbox
from mta.policy.lifecycle import State
from mta.spool import failure
from mta.spool.result import Context, Owned, Result, Settled
from mta.spool.streams import StreamFacts, stream_facts
from mta.storage import bulk

log = logging.getLogger(__name__)
#: RFC 3463 3.8: the mail was refused by the administration's will.
STATUS = "5.7.1"


def tell(ids: Sequence[int], reason: str, now: int, *, dsn: bool) -> int:
    """Write the events of these recipients in the caller's transaction; returns DSNs stored."""
    by_stream: dict[int, list[Owned]] = defaultdict(list)
    for stream_id, owned in owned_of(ids):
        by_stream[stream_id].append(owned)
    dsns = 0
    for stream_id, rows in sorted(by_stream.items()):
        facts = stream_facts(stream_id)
        outbox.write([event(facts, owned, reason, now) for owned in rows])
        if dsn and facts.sends_dsn:
            failed = [ended(facts, owned, reason, now) for owned in rows if wants_dsn(owned)]
            dsns += failure.report(context(facts), failed, now)
    return dsns


def owned_of(ids: Sequence[int]) -> list[tuple[int, Owned]]:
    """(stream id, recipient with its message) in the order of ids."""
    if not ids:
        return []
    chosen, params = bulk.numbers("r.id", ids)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT m.stream_id, r.id, r.message_id, r.lane_id, r.address, r.attempts, r.metadata, "  # noqa: S608
            "r.notify, r.orcpt, r.substitutions, m.campaign, m.tags, m.metadata, m.reverse_path, "
            "m.envid, m.created_at, m.expires_at, m.body_id, m.sender_domain, r.source_id "
            "FROM spool_recipient r JOIN spool_message m ON m.id = r.message_id "
            f"WHERE {chosen} ORDER BY r.id",
            params,
        )
        return [(row[0], Owned(*row[1:])) for row in cursor.fetchall()]


def event(facts: StreamFacts, owned: Owned, reason: str, now: int) -> outbox.NewEvent:
    metadata = orjson.loads(owned.message_metadata or "{}")
    if owned.metadata:
        metadata.update(orjson.loads(owned.metadata))
    shared = outbox.message_fields(
        stream=facts.name,
        campaign=owned.campaign,
        tags=orjson.loads(owned.tags),
        metadata=metadata,
    )
    return outbox.NewEvent(
        at=now,
        kind="admin_bounce",
        tenant_id=facts.tenant_id,
        tenant=facts.tenant_name,
        message_id=owned.message_id,
        recipient_id=owned.recipient_id,
        to=owned.address,
        fields={
            **shared,
            # Nobody answered: no code, our own words.
            "reply": {"code": 0, "enhanced": "", "text": reason},
            "permanent": True,
            "scope": "recipient",
            "attempt": owned.attempts,
            "queued_ms": now - owned.created_at,
            "next_attempt_at": None,
        },
    )


def wants_dsn(owned: Owned) -> bool:
    """Never for a DSN, never against NOTIFY (RFC 3461 4.1)."""
    return bool(owned.reverse_path) and (not owned.notify or "FAILURE" in owned.notify.upper())


def ended(facts: StreamFacts, owned: Owned, reason: str, now: int) -> Settled:
    """The end in the form that reports are made of."""
    result = Result(
        owned.recipient_id,
        "bounced",
        reply=reason,
        text=reason,
        enhanced=STATUS,
        permanent=True,
        scope="recipient",
        at=now,
    )
    return Settled(
        context(facts), owned, result, State.ADMIN_BOUNCED, owned.attempts, None, "", reason
    )


def context(facts: StreamFacts) -> Context:
    return Context(
        token=0,
        tenant_id=facts.tenant_id,
        tenant_name=facts.tenant_name,
        stream_id=facts.id,
        stream_name=facts.name,
        lane_id=0,
        site="",
        provider="",
        source_id=None,
        source_name="",
        window=100,
        sends_dsn=facts.sends_dsn,
        hostname=wiring.config().hostname,
    )


def count(ended: int, dsns: int) -> None:
    """Count for the metrics; Redis being away loses only statistics."""
    try:
        wiring.counters().add({"recipients:admin_bounced": ended, "dsns": dsns})
    except redis.RedisError as error:
        log.warning("not counted: %s", type(error).__name__)
