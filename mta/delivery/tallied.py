"""Settled batches as counts of the hour: by domain, provider, source, tenant and campaign."""

from __future__ import annotations

from collections.abc import Sequence

from mta.delivery.batch import Batch
from mta.delivery.routing import campaign_key
from mta.limits.tally import Counted
from mta.spool.settle import Summary
from mta.spool.streams import stream_facts


def tallied(batches: Sequence[Batch], summaries: Sequence[Summary]) -> list[Counted]:
    """What the summaries, in the order of the batches, add to mta.limits.tally.Tally."""
    found: list[Counted] = []
    # When a settlement failed there are no summaries: what was tried then is not counted.
    for batch, summary in zip(batches, summaries, strict=False):
        if not summary.tallied:
            continue
        tenant, path = stream_facts(batch.stream_id).tenant_name, batch.path
        sums: dict[str, int] = {}
        for (campaign, what), count in summary.tallied.items():
            sums[what] = sums.get(what, 0) + count
            found.append(Counted("campaign", campaign_key(tenant, campaign), what, count))
        for what, count in sums.items():
            found.append(Counted("domain", batch.domain, what, count))
            found.append(Counted("tenant", tenant, what, count))
            if path is not None:
                found.append(Counted("provider", path.provider, what, count))
                found.append(Counted("source", path.source_name, what, count))
    return found
