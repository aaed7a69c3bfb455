"""The only door out of the spool: what became of batches' recipients, in one transaction.

Rule 1: only recipients that the batch's token still holds change (compare-and-swap by fencing).
Rule 2: state, attempt, event, suppression and DSN are written together or not at all.
Rule 3: settling twice is harmless: the second time the token holds nothing.
Rule 4: what a limit kept back is not touched beyond its claim; its lane learns until when it waits.
Rule 5: locks are taken in one order: claims, recipients, suppressions, lanes.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import orjson
from django.db import IntegrityError, InterfaceError, OperationalError

from mta.events import outbox
from mta.policy.lifecycle import State
from mta.policy.retry import RetrySchedule
from mta.spool import claim, failure, held, lanes, warmup
from mta.spool.delivered import Deliveries
from mta.spool.held import Facts, Held
from mta.spool.lanes import Note, is_postgresql
from mta.spool.models import Attempt, Recipient
from mta.spool.result import Context, Owned, Result, Settled, settled
from mta.spool.tally import Tallied, by_campaign
from mta.storage import bulk
from mta.storage.fields import now_ms
from mta.storage.statement import rows
from mta.storage.transactions import write
from mta.suppression.record import suppress

log = logging.getLogger(__name__)
RECIPIENT_COLUMNS = (
    "state", "attempts", "next_attempt_at", "claim_token", "source_id", "last_reply",
    "bounce_class", "updated_at",
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
    #: What the batch adds to the counts of the hour.
    tallied: Tallied = field(default_factory=dict)


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
        return Round(settlements, rng).run()

    try:
        return write(work)
    except IntegrityError:
        return write(work)  # another process drew the ids of a DSN: once more, with new ones


class Round:
    """One transaction's settlements on their way into rows."""

    def __init__(self, settlements: Sequence[Settlement], rng: random.Random) -> None:
        self.settlements, self.rng, self.now = settlements, rng, now_ms()
        self.deliveries = Deliveries()
        #: In the order of the settlements: everything that is no delivery.
        self.others: list[list[Settled]] = []
        self.summaries: list[Summary] = []
        #: Recipients that limits kept back; by settlement, with what limits them.
        self.limited: list[int] = []
        self.kept_back: list[list[Result]] = []
        self.tallied: list[Tallied] = []
        #: When the first of those that went back was due, by lane; ms.
        self.first_due: dict[int, int] = {}

    def run(self) -> list[Summary]:
        tokens = claim.lock(sorted({one.context.token for one in self.settlements}))
        if not tokens:
            return [Summary(0)] * len(self.settlements)
        holds = held.recipients(tokens)
        self.put_back(holds)
        facts = held.messages(
            sorted({one.message_id for few in holds.values() for one in few.values()})
        )
        # What has no result, or another token's recipient, is left alone: that is the fence.
        taken = [
            [(r, mine) for r in one.results if r.outcome != "limited"
             and (mine := holds.get(one.context.token, {}).pop(r.recipient_id, None))]
            for one in self.settlements
        ]  # fmt: skip
        self.decide(taken, facts)
        self.store()
        self.first_due = claim.unclaimed(self.limited, self.now)
        claim.drop([token for token in tokens if not holds[token]], checked=False)
        lanes.note(self.notes(taken))
        contexts = (one.context for one in self.settlements)
        warmup.count(zip(contexts, taken, strict=True))
        return self.summaries

    def put_back(self, holds: Mapping[int, dict[int, Held]]) -> None:
        """Take what a limit kept back out of what is to be settled."""
        for one in self.settlements:
            mine = holds.get(one.context.token, {})
            back = [r for r in one.results if r.outcome == "limited" and r.recipient_id in mine]
            for r in back:
                del mine[r.recipient_id]
            self.limited += [r.recipient_id for r in back]
            self.kept_back.append(back)

    def decide(
        self, taken: Sequence[Sequence[tuple[Result, Held]]], facts: Mapping[int, Facts]
    ) -> None:
        """Sort the results into deliveries and others, and sum them up."""
        self.tallied = [by_campaign(few, facts) for few in taken]
        wanted = [r.recipient_id for few in taken for r, _ in few if not plain(r)]
        owned = held.owned(wanted)
        for one, few in zip(self.settlements, taken, strict=True):
            others = []
            for r, mine in few:
                if plain(r):
                    self.deliveries.add(one.context, mine, facts, r)
                else:
                    others.append(
                        settled(
                            one.context, owned[r.recipient_id], r, one.schedule, self.rng, self.now
                        )
                    )
            self.others.append(others)

    def store(self) -> None:
        """Write recipients, attempts, events, suppressions and DSNs."""
        others = [one for group in self.others for one in group]
        done = self.deliveries
        mark_delivered(done.recipients, self.now)
        bulk.update(
            Recipient, "id", RECIPIENT_COLUMNS, [one.recipient_row(self.now) for one in others],
            fence="state = 'claimed'",
        )  # fmt: skip
        attempts = [row for one in others if (row := one.attempt_row())]
        bulk.insert(Attempt, ATTEMPT_COLUMNS, done.attempts + attempts)
        told = [outbox.packed(event) for one in others if (event := one.event())]
        outbox.store(done.events + told)
        suppress(
            [(one.context.tenant_id, one.owned.address, one.result.reply)
             for one in others if one.suppresses]
        )  # fmt: skip

    def notes(self, taken: Sequence[Sequence[tuple[Result, Held]]]) -> list[Note]:
        """Store the DSNs, sum up, and say what the lanes have to know; each lane once."""
        reports = [
            failure.messages_for(one.context, [s for s in group if s.reports], self.now)
            for one, group in zip(self.settlements, self.others, strict=True)
        ]
        ours = [one.context.lane_id for one in self.settlements]
        failure.store([message for few in reports for message in few], ours)
        notes: dict[int, Note] = {}
        for one, few, group, dsns, back, told in zip(
            self.settlements, taken, self.others, reports, self.kept_back, self.tallied,
            strict=True,
        ):  # fmt: skip
            done = summary(len(few) - len(group), group, len(dsns), len(back))
            self.summaries.append(replace(done, tallied=told))
            lane = one.context.lane_id
            if few:
                notes[lane] = note_of(one.context, few, group, self.now, notes.get(lane))
            if back:
                due = self.first_due.get(lane, self.now)
                notes[lane] = waiting_note(one.context, back, due, notes.get(lane))
        return list(notes.values())


def plain(result: Result) -> bool:
    """A delivery of which there is nothing more to say."""
    return result.outcome == "delivered" and not result.bounce_class


def mark_delivered(done: Sequence[tuple[int, str]], now: int) -> None:
    """Make claimed recipients delivered; (recipient id, reply)."""
    if not done:
        return
    if is_postgresql():
        source = "unnest(%s::bigint[], %s::text[]) AS v(id, reply)"
        values: list[object] = [[rid for rid, _ in done], [reply for _, reply in done]]
    else:
        parts = "value ->> 0 AS id, value ->> 1 AS reply"
        source, values = f"(SELECT {parts} FROM json_each(%s)) AS v", [orjson.dumps(done).decode()]  # noqa: S608
    rows(
        "UPDATE spool_recipient SET state = 'delivered', attempts = attempts + 1, "  # noqa: S608
        "next_attempt_at = NULL, claim_token = NULL, last_reply = v.reply, bounce_class = '', "
        f"updated_at = %s FROM {source} WHERE spool_recipient.id = v.id AND state = 'claimed'",
        [now, *values],
    )


def summary(delivered: int, others: Sequence[Settled], dsns: int, limited: int) -> Summary:
    """What became of one batch."""
    totals = {str(State.DELIVERED): delivered} if delivered else {}
    if limited:
        totals["limited"] = limited
    for one in others:
        totals[one.label] = totals.get(one.label, 0) + 1
    due = [one.next_attempt_at for one in others if one.next_attempt_at is not None]
    return Summary(delivered + len(others) + limited, totals, min(due, default=None), dsns)


def note_of(
    context: Context, few: Sequence[tuple[Result, Held]], others: Sequence[Settled], now: int,
    before: Note | None,
) -> Note:  # fmt: skip
    """What the lane has to know: what waits on, and the site's last word for the queue page."""
    due = [one.next_attempt_at for one in others if one.next_attempt_at is not None]
    said = next((r.reply for r, _ in reversed(few) if r.attempted and r.reply), None)
    why = next((r.reply for r, _ in few if not r.attempted), "")
    if before is not None:  # another batch of the lane: the later one has the last word
        due += [] if before.due_at is None else [before.due_at]
        said = before.last_reply if said is None else said
    return Note(
        context.lane_id,
        due_at=min(due, default=None),
        site=context.site or None,
        last_reply=None if said is None else said[:500],
        last_reply_at=None if said is None else now,
        hold_reason=why[:200],
        window=context.window,
    )


def waiting_note(context: Context, back: Sequence[Result], due: int, before: Note | None) -> Note:
    """What the lane has to know when a limit kept something back: it waits as a whole."""
    last = max(back, key=lambda r: r.until)
    note = before or Note(context.lane_id, site=context.site or None)
    return replace(
        note, due_at=due if note.due_at is None else min(due, note.due_at), wait_until=last.until,
        gate=last.gate, hold_reason=last.reply[:200], window=context.window,
    )  # fmt: skip
