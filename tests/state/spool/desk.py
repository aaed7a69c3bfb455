"""What tests do with the spool again and again, and the invariants that hold after every step."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

from django.db import connection

from mta.policy.retry import RetrySchedule
from mta.spool import claim, settle
from mta.spool.claim import Claim
from mta.spool.inject import Accepted, inject
from mta.spool.load import Outgoing, load_many
from mta.spool.models import Lane, Recipient
from mta.spool.result import Context, Owned, Result
from mta.spool.take import take as claiming
from mta.storage.fields import now_ms
from mta.storage.transactions import write
from tests.cast import Cast

SCHEDULE = RetrySchedule(steps=(60.0,), ceiling=60.0, jitter=0.0, life=86_400.0)
FINAL = ("delivered", "bounced", "expired", "suppressed", "admin_bounced")


def schedule(_: Owned) -> RetrySchedule:
    return SCHEDULE


def injected(cast: Cast, *to: str, **values: Any) -> Accepted:
    return inject([cast.message(*to, **values)])[0]


def lane(domain: str) -> Lane:
    return Lane.objects.get(domain=domain)


def take(domain: str, limit: int = 100, seconds: float = 60.0) -> Claim:
    """Claim what is due of the one lane to a domain."""
    found = claimed(lane(domain).pk, limit, token=claim.new_token(), seconds=seconds)
    assert found is not None
    return found


def claimed(lane_id: int, limit: int, *, token: int, seconds: float) -> Claim | None:
    """A claim of one lane, empty when nothing is due; None when another dispatcher has the lane."""
    found = write(lambda: claiming([claim.Want(lane_id, limit, token)], seconds), durable=False)
    return found[0] if found else None


def loaded(token: int) -> list[Outgoing]:
    return load_many([token]).get(token, [])


def context(cast: Cast, token: int, domain: str, **values: Any) -> Context:
    where = lane(domain)
    return Context(
        **{
            "token": token, "tenant_id": cast.tenant.pk, "tenant_name": cast.tenant.name,
            "stream_id": where.stream_id, "stream_name": where.stream.name,
            "lane_id": where.pk, "site": f"mx.{domain}", "provider": "",
            "source_id": cast.source.pk, "source_name": cast.source.name, "window": 50,
            "sends_dsn": True, "hostname": "mill.example.net", **values,
        }
    )  # fmt: skip


def result(recipient_id: int, outcome: str, **values: Any) -> Result:
    by_outcome: dict[str, dict[str, Any]] = {
        "delivered": {"reply": "250 2.0.0 ok", "text": "ok", "code": 250, "stage": "dot"},
        "deferred": {"reply": "451 4.7.1 later", "text": "later", "code": 451, "stage": "rcpt",
                     "bounce_class": "greylisted"},
        "bounced": {"reply": "550 5.1.1 no such user", "text": "no such user", "code": 550,
                    "enhanced": "5.1.1", "stage": "rcpt", "bounce_class": "bad_mailbox",
                    "permanent": True, "scope": "recipient"},
        "suppressed": {"reply": "the address is suppressed"},
        "postponed": {"reply": "limit rate"},
        "limited": {"reply": "limit rate"},
        "held": {"reply": "a rule"},
    }  # fmt: skip
    known = by_outcome[outcome]
    return Result(recipient_id, outcome, **{"at": now_ms(), "took_ms": 5, **known, **values})


def settled(cast: Cast, held: Claim, domain: str, outcome: str, **values: Any) -> settle.Summary:
    """Settle all of a claim with one outcome."""
    results = [result(rid, outcome, **values) for rid in held.recipient_ids]
    return settled_as(context(cast, held.token, domain), results)


def settled_as(where: Context, results: Sequence[Result]) -> settle.Summary:
    """Settle one batch."""
    (summary,) = settle.settle_many([settle.Settlement(where, results, schedule)], random.Random(1))
    return summary


def make_due() -> None:
    """Let time pass: everything that waits is due now."""
    now = now_ms()
    Recipient.objects.filter(state__in=["scheduled", "deferred"]).update(next_attempt_at=now - 1)
    Lane.objects.filter(due_at__isnull=False).update(due_at=now - 1, earliest_at=now - 1)


def row(recipient_id: int) -> Recipient:
    return Recipient.objects.get(pk=recipient_id)


def states() -> dict[str, int]:
    return dict(Counter(Recipient.objects.values_list("state", flat=True)))


def broken() -> list[str]:
    """Every violated invariant of the spool, as a sentence."""
    questions = {
        "waits in a lane that is not armed in time": (
            "SELECT r.id FROM spool_recipient r JOIN spool_lane l ON l.id = r.lane_id "
            "WHERE r.state IN ('scheduled', 'deferred') "
            "AND (l.due_at IS NULL OR (l.due_at > r.next_attempt_at AND l.due_at > l.wait_until))"
        ),
        "is final and still has a time or a claim": (
            f"SELECT id FROM spool_recipient WHERE state IN {FINAL} AND (next_attempt_at "
            "IS NOT NULL OR claim_token IS NOT NULL)"
        ),
        "is final without exactly one final event": (
            f"SELECT r.id FROM spool_recipient r WHERE r.state IN {FINAL} AND (SELECT count(*) "
            "FROM events_event e WHERE e.recipient_id = r.id AND e.kind IN ('delivery', 'bounce', "
            "'expiration', 'suppression', 'admin_bounce')) <> 1"
        ),
        "is not final and has a final event": (
            f"SELECT r.id FROM spool_recipient r WHERE r.state NOT IN {FINAL} AND EXISTS (SELECT 1 "
            "FROM events_event e WHERE e.recipient_id = r.id AND e.kind IN ('delivery', 'bounce', "
            "'expiration', 'suppression', 'admin_bounce'))"
        ),
        "is claimed and its claim is not there": (
            "SELECT id FROM spool_recipient WHERE state = 'claimed' "
            "AND claim_token NOT IN (SELECT token FROM spool_claim)"
        ),
        "is the token of a claim that holds nothing": (
            "SELECT token FROM spool_claim WHERE token NOT IN "
            "(SELECT claim_token FROM spool_recipient WHERE state = 'claimed')"
        ),
        "waits where no claim looks": (
            "SELECT r.id FROM spool_recipient r JOIN spool_lane l ON l.id = r.lane_id "
            "WHERE r.state IN ('scheduled', 'deferred') AND l.earliest_at > r.next_attempt_at"
        ),
        "has another number of attempts than its history": (
            "SELECT r.id FROM spool_recipient r WHERE r.attempts <> (SELECT count(*) "
            "FROM spool_attempt a WHERE a.recipient_id = r.id)"
        ),
    }
    found = []
    with connection.cursor() as cursor:
        for problem, query in questions.items():
            cursor.execute(query)
            found += [f"{rid} {problem}" for (rid,) in cursor.fetchall()]
    return found
