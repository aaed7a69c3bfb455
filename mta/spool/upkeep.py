"""What time alone does to the spool; in small transactions, so that delivery never waits long."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from functools import partial

from django.db import connection
from django.utils import timezone

from mta import wiring
from mta.events import outbox
from mta.policy import lifecycle
from mta.policy.lifecycle import State
from mta.spool import failure, lanes
from mta.spool.held import owned_where
from mta.spool.models import IdempotencyKey, Message, Recipient
from mta.spool.result import Context, Owned, Result, Settled
from mta.spool.settle import RECIPIENT_COLUMNS
from mta.spool.streams import StreamFacts, stream_facts
from mta.storage import bulk
from mta.storage.fields import now_ms, to_ms
from mta.storage.statement import rows
from mta.storage.transactions import write

#: Answers of the API are repeated for this long.
IDEMPOTENCY_LIFE = timedelta(days=1)


def expire(limit: int = 500) -> int:
    """Expire held recipients whose time ran out (waiting ones expire on their next attempt)."""
    # The state stands in the text, and the order is the index's: else SQLite scans the table.
    skip = "FOR UPDATE OF r SKIP LOCKED" if connection.vendor == "postgresql" else ""
    condition = (
        f"r.state = 'held' AND m.expires_at <= %s ORDER BY r.lane_id LIMIT {int(limit)} {skip}"
    )

    def work() -> int:
        now = now_ms()
        gone = owned_where(condition, [now])
        streams = dict(
            Message.objects.filter(pk__in={o.message_id for o in gone.values()}).values_list(
                "pk", "stream_id"
            )
        )
        by_lane: dict[int, list[Settled]] = defaultdict(list)
        for owned in gone.values():
            facts = stream_facts(streams[owned.message_id])
            by_lane[owned.lane_id].append(expired(owned, facts, now))
        done = [one for group in by_lane.values() for one in group]
        bulk.update(Recipient, "id", RECIPIENT_COLUMNS, [one.recipient_row(now) for one in done])
        outbox.write([event for one in done if (event := one.event())])
        for group in by_lane.values():
            failure.report(group[0].context, [one for one in group if one.reports], now)
        return len(done)

    return write(work)


def expired(owned: Owned, facts: StreamFacts, now: int) -> Settled:
    """The end of a held recipient, with the reason."""
    context = Context(
        token=0, tenant_id=facts.tenant_id, tenant_name=facts.tenant_name, stream_id=facts.id,
        stream_name=facts.name, lane_id=owned.lane_id, site="", provider="", source_id=None,
        source_name="", window=1, sends_dsn=facts.sends_dsn, hostname=wiring.config().hostname,
    )  # fmt: skip
    lifecycle.check(State.HELD, State.EXPIRED)
    reason = "the time for delivery ran out while the mail was held"
    result = Result(owned.recipient_id, "postponed", reply=reason, text=reason, at=now)
    return Settled(context, owned, result, State.EXPIRED, owned.attempts, None, "expired", reason)


def forget_idempotency_keys() -> int:
    """Remove answers that are too old to be repeated."""
    limit = to_ms(timezone.now() - IDEMPOTENCY_LIFE)
    old = IdempotencyKey.objects.filter(created_at__lt=limit).values_list("pk", flat=True)[:1000]
    return write(lambda: IdempotencyKey.objects.filter(pk__in=list(old)).delete()[0])


def rearm_all(page: int = 1000) -> int:
    """Repair lanes that are due, or looked at, later than their earliest recipient.

    Returns how many were; lanes that were put off are among them, which costs one look. Lanes are
    read `page` at a time and written only where something is wrong: nobody waits for this.
    """
    last = repaired = 0
    while seen := rows(
        "SELECT l.id, l.due_at, l.earliest_at, (SELECT min(r.next_attempt_at) "  # noqa: S608
        f"FROM spool_recipient r WHERE r.lane_id = l.id AND {lanes.WAITING}) "
        "FROM spool_lane l WHERE l.id > %s ORDER BY l.id LIMIT %s",
        [last, page],
    ):
        last = seen[-1][0]
        late = [
            lanes.Note(lane, due_at=first)
            for lane, due, earliest, first in seen
            if first is not None and (due is None or first < due or first < earliest)
        ]
        if late:
            write(partial(lanes.note, late))
            repaired += len(late)
    return repaired
