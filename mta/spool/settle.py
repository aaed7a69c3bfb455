"""The only door out of the spool: what became of a batch's recipients, in one transaction.

Rule 1: only recipients that the batch's token still holds change (compare-and-swap by fencing).
Rule 2: state, attempt, event, suppression and DSN are written together or not at all.
Rule 3: settling twice is harmless: the second time the token holds nothing.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from django.db import IntegrityError, InterfaceError, OperationalError, connection

from mta.events import outbox
from mta.policy.retry import RetrySchedule
from mta.spool import failure, lanes
from mta.spool.models import Attempt, Recipient
from mta.spool.result import Context, Owned, Result, Settled, settled
from mta.storage import bulk
from mta.storage.fields import now_ms
from mta.storage.transactions import write
from mta.suppression.record import suppress

log = logging.getLogger(__name__)
RECIPIENT_COLUMNS = (
    "state", "attempts", "next_attempt_at", "claim_token", "claimed_until", "source_id",
    "last_reply", "bounce_class", "updated_at",
)  # fmt: skip
ATTEMPT_COLUMNS = (
    "recipient_id", "number", "at", "took_ms", "outcome", "stage", "reply", "bounce_class",
    "rule", "source_name", "site", "mx_host", "mx_address", "tls",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Summary:
    """What a settlement did, for counters and the next dispatch."""

    settled: int
    by_outcome: dict[str, int] = field(default_factory=dict)
    next_due_at: int | None = None
    dsns: int = 0


@dataclass(frozen=True, slots=True)
class Settlement:
    """One batch to settle; `schedule` gives the retry schedule of a recipient."""

    context: Context
    results: Sequence[Result]
    schedule: Callable[[Owned], RetrySchedule]


class SettleError(Exception):
    """Some batches cannot be settled; the others are. The first error is the cause."""

    def __init__(self, tokens: Sequence[int], summaries: Sequence[Summary | None]) -> None:
        super().__init__(f"batches that cannot be settled: {', '.join(map(str, tokens))}")
        self.tokens = tuple(tokens)
        #: In the order of the settlements; None where one failed.
        self.summaries = tuple(summaries)


def settle(
    context: Context,
    results: Sequence[Result],
    schedule: Callable[[Owned], RetrySchedule],
    rng: random.Random,
) -> Summary:
    """Write the results of the batch `context.token`; what it no longer holds is left alone."""
    return together([Settlement(context, results, schedule)], rng)[0]


def settle_many(settlements: Sequence[Settlement], rng: random.Random) -> list[Summary]:
    """Settle batches in one transaction; summaries in their order.

    A batch that meets an error does not sink the others: they are settled one by one, then
    SettleError names those that failed. OperationalError: nothing is settled, try again later.
    """
    if not settlements:
        return []
    try:
        return together(settlements, rng)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        log.exception("%d batches cannot be settled together", len(settlements))
    summaries: list[Summary | None] = []
    failed: dict[int, Exception] = {}
    for one in settlements:
        try:
            summaries += together([one], rng)
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:
            summaries.append(None)
            failed[one.context.token] = error
    if failed:
        raise SettleError(list(failed), summaries) from next(iter(failed.values()))
    return [one for one in summaries if one is not None]


def together(settlements: Sequence[Settlement], rng: random.Random) -> list[Summary]:
    """Settle all in one transaction or none."""

    def work() -> list[Summary]:
        return [_settle(one.context, one.results, one.schedule, rng) for one in settlements]

    try:
        return write(work)
    except IntegrityError:
        return write(work)  # another process drew the ids of a DSN: once more, with new ones


def _settle(
    context: Context,
    results: Sequence[Result],
    schedule: Callable[[Owned], RetrySchedule],
    rng: random.Random,
) -> Summary:
    now = now_ms()
    owned = owned_by(context.token)
    done = [
        settled(context, owned[result.recipient_id], result, schedule, rng, now)
        for result in results
        if result.recipient_id in owned  # fenced out otherwise: another batch has it by now
    ]
    if not done:
        return Summary(0)
    bulk.update(
        Recipient, "id", RECIPIENT_COLUMNS, [one.recipient_row(now) for one in done],
        fence="claim_token = %s", fence_params=[context.token],
    )  # fmt: skip
    bulk.insert(Attempt, ATTEMPT_COLUMNS, [row for one in done if (row := one.attempt_row())])
    outbox.write([event for one in done if (event := one.event())])
    suppress(
        [(context.tenant_id, one.owned.address, one.result.reply) for one in done if one.suppresses]
    )
    dsns = failure.report(context, [one for one in done if one.reports], now)
    return Summary(len(done), count(done), note_lane(context, done, now), dsns)


def owned_by(token: int) -> dict[int, Owned]:
    """The recipients that the token holds, locked until the transaction ends."""
    lock = "FOR UPDATE OF r" if connection.vendor == "postgresql" else ""
    return owned_where(f"r.state = 'claimed' AND r.claim_token = %s ORDER BY r.id {lock}", [token])


def owned_where(condition: str, params: Sequence[int]) -> dict[int, Owned]:
    """Recipients with their messages, as the SQL behind WHERE chooses them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT r.id, r.message_id, r.lane_id, r.address, r.attempts, r.metadata, r.notify, "  # noqa: S608
            "r.orcpt, r.substitutions, m.campaign, m.tags, m.metadata, m.reverse_path, m.envid, "
            "m.created_at, m.expires_at, m.body_id, m.sender_domain, r.source_id "
            "FROM spool_recipient r JOIN spool_message m ON m.id = r.message_id "
            f"WHERE {condition}",
            list(params),
        )
        return {row[0]: Owned(*row) for row in cursor.fetchall()}


def note_lane(context: Context, done: Sequence[Settled], now: int) -> int | None:
    """Arm the lane for what waits on, and keep the site's last word for the queue page."""
    due = [one.next_attempt_at for one in done if one.next_attempt_at is not None]
    if due:
        lanes.arm_by_id({context.lane_id: min(due)})
    said = [one.result.reply for one in done if one.result.attempted and one.result.reply]
    why = [one.result.reply for one in done if not one.result.attempted]
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE spool_lane SET site = CASE WHEN %s = '' THEN site ELSE %s END, "
            "last_reply = CASE WHEN %s = '' THEN last_reply ELSE %s END, "
            "last_reply_at = CASE WHEN %s = '' THEN last_reply_at ELSE %s END, "
            'hold_reason = %s, "window" = %s WHERE id = %s',
            [
                context.site, context.site, said[-1][:500] if said else "",
                said[-1][:500] if said else "", said[-1][:1] if said else "", now,
                why[0][:200] if why else "", context.window, context.lane_id,
            ],
        )  # fmt: skip
    return min(due, default=None)


def count(done: Sequence[Settled]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for one in done:
        totals[one.label] = totals.get(one.label, 0) + 1
    return totals
