"""One recipient's result and what follows from it: values in, rows out, no database here."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from mta.events.outbox import NewEvent, message_fields
from mta.policy import lifecycle
from mta.policy.lifecycle import State
from mta.policy.retry import RetrySchedule, next_attempt


@dataclass(frozen=True, slots=True)
class Context:
    """What all results of a batch share."""

    token: int
    tenant_id: int
    tenant_name: str
    stream_id: int
    stream_name: str
    lane_id: int
    site: str
    provider: str
    source_id: int | None
    source_name: str
    #: Largest batch the lane may have next.
    window: int
    sends_dsn: bool
    hostname: str


class Result(NamedTuple):
    """What happened to one recipient of the batch; instants in milliseconds."""

    recipient_id: int
    #: delivered | deferred | bounced | suppressed | postponed (not tried, and not before `until`)
    #: | held | limited (not tried: its lane waits until `until`)
    outcome: str
    #: As people read it, codes included; `text` is without them.
    reply: str = ""
    text: str = ""
    code: int = 0
    enhanced: str = ""
    stage: str = ""
    bounce_class: str = ""
    permanent: bool = False
    scope: str = ""
    action: str = ""
    rule: str = ""
    mx_host: str = ""
    mx_address: str = ""
    tls: str = ""
    at: int = 0
    took_ms: int = 0
    #: When a postponed recipient, or the lane of a limited one, may go; ms.
    until: int = 0
    #: What limits: see mta.spool.waiting.
    gate: str = ""

    @property
    def attempted(self) -> bool:
        return self.outcome in {"delivered", "deferred", "bounced"}


@dataclass(frozen=True, slots=True)
class Owned:
    """A claimed recipient as the settlement reads it; the order is that of the query."""

    recipient_id: int
    message_id: int
    lane_id: int
    address: str
    attempts: int
    metadata: str
    notify: str
    orcpt: str
    substitutions: Any
    campaign: str
    tags: str
    message_metadata: str
    reverse_path: str
    envid: str
    created_at: int
    expires_at: int
    body_id: str
    sender_domain: str
    source_id: int | None


EVENT_KINDS = {
    State.DELIVERED: "delivery", State.DEFERRED: "deferral", State.BOUNCED: "bounce",
    State.EXPIRED: "expiration", State.SUPPRESSED: "suppression",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Settled:
    """A recipient's new state with the reason."""

    context: Context
    owned: Owned
    result: Result
    state: State
    attempts: int
    next_attempt_at: int | None
    bounce_class: str
    reason: str

    @property
    def put_off(self) -> bool:
        """Nothing happened but that it waits on."""
        return self.result.outcome == "postponed" and self.state is not State.EXPIRED

    @property
    def label(self) -> str:
        return "postponed" if self.put_off else str(self.state)

    @property
    def suppresses(self) -> bool:
        return self.state is State.BOUNCED and self.result.action == "suppress"

    @property
    def reports(self) -> bool:
        """Whether the sender is told by DSN: never for a DSN, never against NOTIFY (RFC 3461)."""
        wanted = not self.owned.notify or "FAILURE" in self.owned.notify.upper()
        failed = self.state in {State.BOUNCED, State.EXPIRED}
        return failed and wanted and bool(self.owned.reverse_path) and self.context.sends_dsn

    def recipient_row(self, now: int) -> tuple[Any, ...]:
        # Greylisting wants the same source again; a source that is blocked will not do.
        source = self.owned.source_id
        if self.result.bounce_class == "reputation":
            source = None
        elif self.state is State.DEFERRED and self.result.attempted:
            source = self.context.source_id
        return (
            self.owned.recipient_id, str(self.state), self.attempts, self.next_attempt_at, None,
            source, self.reason[:500], self.bounce_class, now,
        )  # fmt: skip

    def attempt_row(self) -> tuple[Any, ...] | None:
        attempted = self.result.attempted
        return attempt_row(self.context, self.result, self.attempts) if attempted else None

    def event(self) -> NewEvent | None:
        if self.put_off or self.state is State.HELD:
            return None
        o, r = self.owned, self.result
        metadata = orjson.loads(o.message_metadata or "{}")
        if o.metadata:
            metadata.update(orjson.loads(o.metadata))
        shared = message_fields(
            stream=self.context.stream_name, campaign=o.campaign, tags=orjson.loads(o.tags),
            metadata=metadata,
        )  # fmt: skip
        return NewEvent(
            at=r.at,
            kind=EVENT_KINDS[self.state],
            tenant_id=self.context.tenant_id,
            tenant=self.context.tenant_name,
            message_id=o.message_id,
            recipient_id=o.recipient_id,
            to=o.address,
            fields={
                **shared,
                "reply": {"code": r.code, "enhanced": r.enhanced, "text": r.text},
                "bounce_class": self.bounce_class,
                "permanent": r.permanent,
                "scope": r.scope,
                "source": self.context.source_name,
                "mx_host": r.mx_host,
                "site": self.context.site,
                "attempt": self.attempts,
                "tls": r.tls,
                "took_ms": r.took_ms,
                "queued_ms": r.at - o.created_at,
                "next_attempt_at": None
                if self.next_attempt_at is None
                else self.next_attempt_at / 1000,
            },
        )


def attempt_row(context: Context, r: Result, number: int) -> tuple[Any, ...]:
    """The row of an attempt, the `number`th of its recipient."""
    return (
        r.recipient_id, number, r.at, max(r.took_ms, 0), r.outcome, r.stage, r.reply[:1100],
        r.bounce_class, r.rule[:80], context.source_name, context.site, r.mx_host, r.mx_address,
        r.tls[:63],
    )  # fmt: skip


def settled(
    context: Context, owned: Owned, result: Result,
    schedule: Callable[[Owned], RetrySchedule], rng: random.Random, now: int,
) -> Settled:  # fmt: skip
    """Decide the new state of one recipient."""
    attempts = owned.attempts + (1 if result.attempted else 0)
    state, due, bounce_class, reason = State.DEFERRED, None, result.bounce_class, result.reply
    if result.outcome == "delivered":
        state = State.DELIVERED
    elif result.outcome == "bounced":
        state = State.BOUNCED
    elif result.outcome == "suppressed":
        state = State.SUPPRESSED
    elif result.outcome == "held":
        state = State.HELD
    elif result.outcome == "postponed":
        state = State.DEFERRED if owned.attempts else State.SCHEDULED
        # Not before its time: who put it off may change his mind. Then the next look expires it.
        due = min(max(result.until, now), owned.expires_at)
        if now >= owned.expires_at:
            state, due, bounce_class = State.EXPIRED, None, "expired"
    else:
        decision = next_attempt(
            schedule(owned), attempts=attempts, created_at=owned.created_at / 1000,
            expires_at=owned.expires_at / 1000, now=now / 1000, rng=rng,
        )  # fmt: skip
        if decision.at is None:
            state, bounce_class = State.EXPIRED, "expired"
            reason = f"{decision.reason}; last reply: {result.reply}"
        else:
            due = round(decision.at * 1000)
    lifecycle.check(State.CLAIMED, state)
    return Settled(context, owned, result, state, attempts, due, bounce_class, reason)
