"""What time alone does to the spool; in small transactions, so that delivery never waits long."""

from __future__ import annotations

from datetime import timedelta

from django.db import connection
from django.utils import timezone

from mta.events import outbox
from mta.spool.models import IdempotencyKey, Recipient
from mta.storage.fields import now_ms, to_ms
from mta.storage.transactions import write

#: Answers of the API are repeated for this long.
IDEMPOTENCY_LIFE = timedelta(days=1)


def expire(limit: int = 500) -> int:
    """Expire held recipients whose time ran out (waiting ones expire on their next attempt)."""

    def work() -> int:
        now = now_ms()
        gone = list(
            Recipient.objects.filter(state="held", message__expires_at__lte=now)
            .select_related("message__tenant", "message__stream")
            .order_by("id")[:limit]
        )
        changed = Recipient.objects.filter(pk__in=[r.pk for r in gone], state="held").update(
            state="expired",
            next_attempt_at=None,
            bounce_class="expired",
            last_reply="time for delivery ran out while held",
            updated_at=now,
        )
        outbox.write([
            outbox.NewEvent(
                at=now, kind="expiration", tenant_id=r.message.tenant_id,
                tenant=r.message.tenant.name, message_id=r.message_id, recipient_id=r.pk,
                to=r.address,
                fields={"stream": r.message.stream.name, "campaign": r.message.campaign,
                        "bounce_class": "expired"},
            )
            for r in gone
        ])  # fmt: skip
        return changed

    return write(work)


def forget_idempotency_keys() -> int:
    """Remove answers that are too old to be repeated."""
    limit = to_ms(timezone.now() - IDEMPOTENCY_LIFE)
    old = IdempotencyKey.objects.filter(created_at__lt=limit).values_list("pk", flat=True)[:1000]
    return write(lambda: IdempotencyKey.objects.filter(pk__in=list(old)).delete()[0])


def rearm_all() -> int:
    """Repair lanes that are due later than their earliest recipient; returns how many were."""

    def work() -> int:
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE spool_lane SET due_at = (SELECT min(next_attempt_at) "
                "FROM spool_recipient r WHERE r.lane_id = spool_lane.id "
                "AND r.state IN ('scheduled', 'deferred')) "
                "WHERE EXISTS (SELECT 1 FROM spool_recipient r WHERE r.lane_id = spool_lane.id "
                "AND r.state IN ('scheduled', 'deferred') AND (spool_lane.due_at IS NULL "
                "OR r.next_attempt_at < spool_lane.due_at))"
            )
            return int(cursor.rowcount)

    return write(work)
