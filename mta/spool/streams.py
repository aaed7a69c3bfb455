"""Facts of streams that the hot path needs, remembered for a few seconds."""

from __future__ import annotations

import time
from dataclasses import dataclass

from mta.egress.sources import rates_of
from mta.spool.lanes import BULK, TRANSACTIONAL
from mta.tenants.models import Stream, StreamKind

#: A change in the admin acts within this many seconds.
KEEP_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """One stream as the spool sees it; life in seconds, priority as in mta.spool.lanes."""

    id: int
    name: str
    tenant_id: int
    tenant_name: str
    priority: int
    pool_id: int
    retry_steps: str
    life_seconds: int
    sends_dsn: bool
    #: What the stream, and its tenant, may send in all: (messages, seconds).
    rates: tuple[tuple[float, int], ...] = ()
    tenant_per_second: float = 0.0
    weight: int = 1


_known: dict[int, tuple[float, StreamFacts]] = {}


def stream_facts(stream_id: int) -> StreamFacts:
    """The stream; Stream.DoesNotExist when it is gone."""
    found = _known.get(stream_id)
    if found is not None and found[0] > time.monotonic():
        return found[1]
    stream = Stream.objects.select_related("tenant").get(pk=stream_id)
    facts = StreamFacts(
        id=stream.pk,
        name=stream.name,
        tenant_id=stream.tenant_id,
        tenant_name=stream.tenant.name,
        priority=TRANSACTIONAL if stream.kind == StreamKind.TRANSACTIONAL else BULK,
        pool_id=stream.pool_id,
        retry_steps=stream.retry_steps,
        life_seconds=stream.life_seconds,
        sends_dsn=stream.sends_dsn,
        rates=rates_of(stream),
        tenant_per_second=stream.tenant.messages_per_second or 0.0,
        weight=stream.tenant.weight,
    )
    _known[stream_id] = (time.monotonic() + KEEP_SECONDS, facts)
    return facts
