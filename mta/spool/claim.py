"""Claims: a worker's hold on due recipients, with a fencing token and an end.

Rule 1: a recipient belongs to a batch while state is claimed and claim_token is the batch's token.
Rule 2: whoever acts on a batch first renews its claim; what the renewal does not return is no
        longer this batch's, and is left alone.
Rule 3: a claim that nobody renews ends; the sweep returns it, and the old holder is fenced out.
Losing a claim by power failure is harmless, so claims are not worth an fsync of their own.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import connection

from mta.spool import lanes
from mta.storage import bulk
from mta.storage.fields import now_ms
from mta.storage.transactions import write

WAITING = "state IN ('scheduled', 'deferred')"
#: A claim goes back to what the recipient was before.
RETURNED = "CASE WHEN attempts > 0 THEN 'deferred' ELSE 'scheduled' END"


@dataclass(frozen=True, slots=True)
class Want:
    """A lane, how many of its due recipients at most, and the token they shall be held under."""

    lane_id: int
    limit: int
    token: int


@dataclass(frozen=True, slots=True)
class Claim:
    """Recipients of one lane, held under one token; source_id when they must keep their source."""

    token: int
    recipient_ids: tuple[int, ...]
    source_id: int | None
    #: Something of the lane is due beyond what was taken.
    more: bool
    lane_id: int = 0


def new_token() -> int:
    """63 random bits: a token is never used twice."""
    return secrets.randbits(63)


def is_postgresql() -> bool:
    return connection.vendor == "postgresql"


def claim_many(wants: Sequence[Want], *, seconds: float) -> list[Claim]:
    """Take due recipients of several lanes in one transaction, each lane under its own token.

    A lane that another dispatcher has at the moment, or that has nothing due, is absent.
    """
    if not wants:
        return []

    def work() -> list[Claim]:
        found = [_claim(want.lane_id, want.limit, want.token, seconds) for want in wants]
        return [one for one in found if one is not None and one.recipient_ids]

    return write(work)


def claim(lane_id: int, limit: int, *, token: int, seconds: float) -> Claim | None:
    """Take up to `limit` due recipients of a lane; None when another dispatcher has the lane."""
    return write(lambda: _claim(lane_id, limit, token, seconds))


def _claim(lane_id: int, limit: int, token: int, seconds: float) -> Claim | None:
    now = now_ms()
    with connection.cursor() as cursor:
        if is_postgresql():
            cursor.execute("SET LOCAL synchronous_commit TO OFF")
            cursor.execute(
                "SELECT id FROM spool_lane WHERE id = %s FOR UPDATE SKIP LOCKED", [lane_id]
            )
            if cursor.fetchone() is None:
                return None
        cursor.execute(
            f"SELECT source_id FROM spool_recipient WHERE lane_id = %s AND {WAITING} "  # noqa: S608
            "AND next_attempt_at <= %s ORDER BY next_attempt_at LIMIT 1",
            [lane_id, now],
        )
        first = cursor.fetchone()
        ids = [] if first is None else take(lane_id, limit, now, first[0], token, seconds)
        lanes.rearm([lane_id])
        cursor.execute("SELECT due_at FROM spool_lane WHERE id = %s", [lane_id])
        due = cursor.fetchone()
    more = due is not None and due[0] is not None and due[0] <= now
    return Claim(token, tuple(sorted(ids)), first[0] if first else None, more, lane_id)


def take(
    lane_id: int, limit: int, now: int, source_id: int | None, token: int, seconds: float
) -> list[int]:
    """Mark the oldest due recipients of the lane that share a source; returns their ids."""
    skip = "FOR UPDATE SKIP LOCKED" if is_postgresql() else ""
    same = "source_id IS NULL" if source_id is None else f"source_id = {int(source_id)}"
    with connection.cursor() as cursor:
        cursor.execute(
            # As a CTE it is evaluated once: PostgreSQL may run a locking subquery again for each
            # row, and take more than the limit.
            "WITH chosen AS MATERIALIZED (SELECT id FROM spool_recipient "  # noqa: S608
            f"WHERE lane_id = %s AND {WAITING} AND next_attempt_at <= %s AND {same} "
            f"ORDER BY next_attempt_at LIMIT %s {skip}) "
            "UPDATE spool_recipient SET state = 'claimed', claim_token = %s, claimed_until = %s, "
            "updated_at = %s WHERE id IN (SELECT id FROM chosen) RETURNING id",
            [lane_id, now, limit, token, now + round(seconds * 1000), now],
        )
        return [row[0] for row in cursor.fetchall()]


def renew(tokens: Sequence[int], *, seconds: float) -> dict[int, int]:
    """Prolong claims; returns token -> recipients still held (tokens with none are absent)."""
    if not tokens:
        return {}

    def work() -> dict[int, int]:
        held: dict[int, int] = {}
        condition, params = bulk.numbers("claim_token", tokens)
        with connection.cursor() as cursor:
            cursor.execute(
                f"{chosen(condition)} UPDATE spool_recipient SET claimed_until = %s "  # noqa: S608
                "WHERE id IN (SELECT id FROM chosen) RETURNING claim_token",
                [*params, now_ms() + round(seconds * 1000)],
            )
            for (token,) in cursor.fetchall():
                held[token] = held.get(token, 0) + 1
        return held

    return write(work)


def chosen(condition: str) -> str:
    """A CTE of the claimed recipients under a condition, locked by id, as settle locks them.

    Two that lock the same recipients in one order never wait in a circle.
    """
    lock = "ORDER BY id FOR UPDATE" if is_postgresql() else ""
    return (
        "WITH chosen AS MATERIALIZED (SELECT id FROM spool_recipient "  # noqa: S608
        f"WHERE state = 'claimed' AND {condition} {lock})"
    )


def held(tokens: Sequence[int]) -> set[int]:
    """Those of the tokens whose claim lasts; a read, it prolongs nothing."""
    if not tokens:
        return set()
    condition, params = bulk.numbers("claim_token", tokens)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT claim_token FROM spool_recipient WHERE state = 'claimed' "  # noqa: S608
            f"AND {condition} AND claimed_until > %s",
            [*params, now_ms()],
        )
        return {row[0] for row in cursor.fetchall()}


def is_held(token: int) -> bool:
    """Whether the token's claim lasts."""
    return bool(held([token]))


def attempts_before(tokens: int | Sequence[int]) -> dict[int, int]:
    """How often each recipient that the tokens hold was tried before."""
    condition, params = bulk.numbers("claim_token", as_tokens(tokens))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, attempts FROM spool_recipient "  # noqa: S608
            f"WHERE state = 'claimed' AND {condition}",
            params,
        )
        return dict(cursor.fetchall())


def as_tokens(tokens: int | Sequence[int]) -> Sequence[int]:
    return [tokens] if isinstance(tokens, int) else tokens


def give_back(
    tokens: int | Sequence[int], *, at: int | None = None, reason: str = "",
    only: Iterable[int] | None = None,
) -> int:  # fmt: skip
    """Return recipients of batches (or `only` some) untried, due at `at` (ms; default now)."""
    known = as_tokens(tokens)
    if not known:
        return 0
    return write(lambda: return_claims(known, at=at, reason=reason, only=only))


def return_claims(
    tokens: Sequence[int], *, at: int | None = None, reason: str = "",
    only: Iterable[int] | None = None,
) -> int:  # fmt: skip
    """The work of `give_back`, inside the caller's transaction; returns how many went back."""
    now = now_ms()
    due = now if at is None else at
    condition, params = bulk.numbers("claim_token", tokens)
    if only is not None:
        few = list(only)
        if not few:
            return 0
        extra, extra_params = bulk.numbers("id", few)
        condition, params = f"{condition} AND {extra}", [*params, *extra_params]
    return unclaim(chosen(condition), params, due, now, reason)


def return_expired(limit: int = 10_000) -> int:
    """Return claims that ended; at most `limit`, so that no transaction grows without bound."""

    def work() -> int:
        now = now_ms()
        skip = "FOR UPDATE SKIP LOCKED" if is_postgresql() else ""
        ended = (
            "WITH chosen AS MATERIALIZED (SELECT id FROM spool_recipient "  # noqa: S608
            "WHERE state = 'claimed' AND claimed_until < %s "
            f"ORDER BY claimed_until LIMIT {int(limit)} {skip})"
        )
        return unclaim(ended, [now], now, now, "")

    return write(work)


def unclaim(which: str, params: Sequence[int | list[int]], due: int, now: int, reason: str) -> int:
    """Return the recipients that the CTE `which` (with `params`) chooses."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"{which} UPDATE spool_recipient SET state = {RETURNED}, claim_token = NULL, "  # noqa: S608
            "claimed_until = NULL, next_attempt_at = %s, updated_at = %s "
            "WHERE id IN (SELECT id FROM chosen) RETURNING lane_id",
            [*params, due, now],
        )
        touched = [row[0] for row in cursor.fetchall()]
        lanes.arm_by_id(dict.fromkeys(touched, due))
        if reason and touched:
            lane_ids, lane_params = bulk.numbers("id", sorted(set(touched)))
            cursor.execute(
                f"UPDATE spool_lane SET hold_reason = %s WHERE {lane_ids}",  # noqa: S608
                [reason[:200], *lane_params],
            )
    return len(touched)
