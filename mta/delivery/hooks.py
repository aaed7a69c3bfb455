"""The `on_reply` hook of MAILMILL_POLICY: a second opinion on replies that are no delivery."""

from __future__ import annotations

import logging
from dataclasses import replace

from mta import wiring
from mta.delivery.batch import Batch, Outcome
from mta.policy.hooks import Answered
from mta.policy.verdict import DEFERRED, DELIVERED, Verdict
from mta.spool.streams import stream_facts

log = logging.getLogger(__name__)


def judged(verdict: Verdict, outcome: Outcome, batch: Batch, attempts: int) -> Verdict:
    """The verdict that counts: the rules', or the hook's instead.

    A hook that fails makes the reply temporary: never a bounce by surprise. `attempts` are earlier
    tries of the recipient.
    """
    hooks = wiring.hooks()
    if hooks.on_reply is None or verdict.outcome == DELIVERED:
        return verdict
    try:
        answer = hooks.on_reply(answered(verdict, outcome, batch, attempts))
        if answer is None:
            return verdict
        if not isinstance(answer, Verdict):
            raise TypeError(f"gave back {type(answer).__name__}, not None or Verdict")
        if answer.outcome == DELIVERED:
            raise ValueError("gave back a delivery: the peer did not take the message")
        return answer
    except Exception:  # the edge of foreign code: the recipient comes again
        log.exception("%s.on_reply: the reply counts as temporary", hooks.module)
        rule = f"{hooks.module}.on_reply failed"
        return replace(verdict, outcome=DEFERRED, permanent=False, action="", rule=rule)


def answered(verdict: Verdict, outcome: Outcome, batch: Batch, attempts: int) -> Answered:
    """The reply as the hook sees it."""
    stream, path = stream_facts(batch.stream_id), batch.path
    return Answered(
        tenant=stream.tenant_name,
        stream=stream.name,
        domain=batch.domain,
        site=path.site if path else "",
        provider=path.provider if path else "",
        source=path.source_name if path else "",
        stage=outcome.stage,
        code=outcome.code,
        enhanced=outcome.enhanced,
        text=outcome.reply,
        attempts=attempts,
        verdict=verdict,
    )
