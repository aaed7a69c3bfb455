"""Classify and settle: replies become verdicts, verdicts become states, and the lane goes on."""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Mapping, Sequence

import redis

from mta import wiring
from mta.delivery.batch import Batch, Outcome
from mta.delivery.hooks import judged
from mta.delivery.tallied import tallied
from mta.limits.egress import Slot
from mta.mail.reply import Reply
from mta.policy.retry import RetrySchedule
from mta.spool import inject
from mta.spool.claim import attempts_before
from mta.spool.result import Context, Owned, Result
from mta.spool.settle import SettleError, Settlement, Summary, settle_many
from mta.spool.streams import stream_facts

log = logging.getLogger(__name__)
#: Part of the places under way that bulk mail may take.
BULK_SHARE = 0.9


def judge(batches: Sequence[Batch], rng: random.Random) -> list[Summary]:
    """Settle the outcomes of the batches in one transaction, free their slots, wake dispatch.

    Raises SettleError naming the batches that could not be settled, when all others are.
    """
    failed = [batch.token for batch in batches if any(o.code // 100 != 2 for o in batch.outcomes)]
    tries = attempts_before(failed) if failed else {}
    settlements = [settlement(batch, tries) for batch in batches]
    try:
        summaries = settle_many(settlements, rng)
    except SettleError as error:
        free([batch for batch in batches if batch.token not in error.tokens], [])
        raise
    free(batches, summaries)
    return summaries


def settlement(batch: Batch, tries: Mapping[int, int]) -> Settlement:
    """What the batch's replies mean; `tries` are earlier attempts by recipient."""
    facts = stream_facts(batch.stream_id)
    path = batch.path
    context = Context(
        token=batch.token,
        tenant_id=batch.tenant_id,
        tenant_name=facts.tenant_name,
        stream_id=batch.stream_id,
        stream_name=facts.name,
        lane_id=batch.lane_id,
        site=path.site if path else "",
        provider=path.provider if path else "",
        source_id=path.source_id if path else None,
        source_name=path.source_name if path else "",
        window=batch.window,
        sends_dsn=facts.sends_dsn,
        hostname=wiring.config().hostname,
    )

    def schedule(_: Owned) -> RetrySchedule:
        """The receiver's wish goes before the stream's; of two lives the shorter one counts."""
        steps, life = facts.retry_steps, float(facts.life_seconds)
        if path is not None:
            steps = path.retry_steps or steps
            life = min(life, path.life_hours * 3600) if path.life_hours else life
        return wiring.retry_schedule(steps, life)

    results = [
        result_of(outcome, batch, context.provider, tries.get(outcome.recipient_id, 0))
        for outcome in batch.outcomes
    ]
    return Settlement(context, results, schedule)


def free(batches: Sequence[Batch], summaries: Sequence[Summary]) -> None:
    """Give back places under way and count; Redis being away loses only statistics."""
    counted = Counter({"batches:settled": len(batches), "dsns": sum(s.dsns for s in summaries)})
    for summary in summaries:
        counted.update({f"recipients:{name}": n for name, n in summary.by_outcome.items()})
    try:
        wiring.limits().release([slot for b in batches for slot in slots(b.token, b.domain)])
        wiring.counters().add(counted)
        wiring.tally().add(tallied(batches, summaries))
    except redis.RedisError as error:
        log.warning("slot of a settled batch not freed: %s", type(error).__name__)
    inject.ring()


def slots(token: int, domain: str, *, urgent: bool = True) -> list[Slot]:
    """A batch's place among all batches under way, and among those of its domain.

    Bulk leaves some of the places to transactional mail.
    """
    config = wiring.config()
    ttl = config.claim_seconds * 1.5
    part = 1.0 if urgent else BULK_SHARE
    return [
        Slot("batches", places(config.max_batches, part), str(token), ttl),
        Slot(f"batches:{domain}", places(config.max_batches_per_domain, part), str(token), ttl),
    ]


def places(most: int, part: float) -> int:
    return max(1, int(most * part))


def result_of(outcome: Outcome, batch: Batch, provider: str, attempts: int) -> Result:
    """What the reply means for this recipient, after `attempts` earlier tries."""
    text = reply_text(outcome)
    if outcome.kind == "rejected":
        return rejected(outcome, text)
    if outcome.kind:
        return Result(
            outcome.recipient_id, outcome.kind, reply=text, text=outcome.reply,
            stage=outcome.stage, at=outcome.at,
            took_ms=outcome.took_ms, until=outcome.until, gate=outcome.gate,
        )  # fmt: skip
    verdict = wiring.classifier().classify(
        Reply(outcome.code, outcome.enhanced, outcome.reply),
        stage=outcome.stage,
        provider=provider,
        attempts=attempts,
    )
    verdict = judged(verdict, outcome, batch, attempts)
    return Result(
        recipient_id=outcome.recipient_id,
        outcome=verdict.outcome,
        reply=text,
        text=outcome.reply,
        code=outcome.code,
        enhanced=outcome.enhanced,
        stage=outcome.stage,
        bounce_class=verdict.bounce_class,
        permanent=verdict.permanent,
        scope=verdict.scope,
        action=verdict.action,
        rule=verdict.rule,
        mx_host=outcome.mx_host,
        mx_address=outcome.mx_address,
        tls=outcome.tls,
        at=outcome.at,
        took_ms=outcome.took_ms,
    )


def rejected(outcome: Outcome, text: str) -> Result:
    """Our own rules want the recipient's mail to end."""
    return Result(
        outcome.recipient_id, "bounced", reply=text, text=outcome.reply, code=outcome.code,
        enhanced=outcome.enhanced, stage=outcome.stage, bounce_class="policy", permanent=True,
        scope="recipient", rule="routing", at=outcome.at, took_ms=outcome.took_ms,
    )  # fmt: skip


def reply_text(outcome: Outcome) -> str:
    """The reply as people read it."""
    words = [str(outcome.code) if outcome.code else "", outcome.enhanced, outcome.reply]
    return " ".join(word for word in words if word)
