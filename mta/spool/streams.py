"""Facts of streams that the hot path needs, remembered for a few seconds."""

from __future__ import annotations

import time
from dataclasses import dataclass

from mta.tenants.models import Stream, StreamKind

#: A change in the admin acts within this many seconds.
KEEP_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """One stream as the spool sees it; life in seconds, priority 0 (transactional) or 1 (bulk)."""

    id: int
    name: str
    tenant_id: int
    tenant_name: str
    priority: int
    pool_id: int
    retry_steps: str
    life_seconds: int
    sends_dsn: bool


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
        priority=0 if stream.kind == StreamKind.TRANSACTIONAL else 1,
        pool_id=stream.pool_id,
        retry_steps=stream.retry_steps,
        life_seconds=stream.life_seconds,
        sends_dsn=stream.sends_dsn,
    )
    _known[stream_id] = (time.monotonic() + KEEP_SECONDS, facts)
    return facts
