"""Claims: a worker's hold on due recipients, with a fencing token and an end.

Rule 1: a recipient belongs to a batch while state is claimed and claim_token is the batch's token;
        a token that holds any has its row in spool_claim, which says when the claim ends.
Rule 2: who changes what tokens hold locks their rows first, in the order of tokens, then the
        recipients, then lanes.
Rule 3: whoever acts on a batch first renews its claim, or sees that it lasts; a token that is not
        returned holds nothing any more.
Rule 4: a claim that nobody renews ends; the sweep returns it, and the old holder is fenced out.
Losing a claim by power failure is harmless, so claims are not worth an fsync of their own.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence

from mta.spool import lanes
from mta.spool.lanes import is_postgresql
from mta.spool.take import Claim, Want, take
from mta.storage.bulk import numbers
from mta.storage.fields import now_ms
from mta.storage.statement import rows
from mta.storage.transactions import write

__all__ = [
    "Claim", "Want", "attempts_before", "claim_many", "give_back", "held", "new_token", "renew",
    "return_claims", "return_expired",
]  # fmt: skip

#: A claim goes back to what the recipient was before.
RETURNED = "CASE WHEN attempts > 0 THEN 'deferred' ELSE 'scheduled' END"


def new_token() -> int:
    """63 random bits: a token is never used twice."""
    return secrets.randbits(63)


def claim_many(wants: Sequence[Want], *, seconds: float) -> list[Claim]:
    """Take due recipients of several lanes in one transaction, each want under its own token.

    A lane that another dispatcher has at the moment, or that has nothing due, is absent. A lane may
    be wanted several times.
    """
    if not wants:
        return []
    taken = write(lambda: take(wants, seconds), durable=False)
    return [one for one in taken if one.recipient_ids]


def renew(tokens: Sequence[int], *, seconds: float) -> set[int]:
    """Prolong claims; returns the tokens that still hold something."""
    if not tokens:
        return set()

    def work() -> set[int]:
        known = lock(tokens)
        condition, params = numbers("token", known)
        ends_at = now_ms() + round(seconds * 1000)
        if known:
            rows(f"UPDATE spool_claim SET ends_at = %s WHERE {condition}", [ends_at, *params])  # noqa: S608
        return set(known)

    return write(work, durable=False)


def lock(tokens: Sequence[int]) -> list[int]:
    """Those of the tokens that hold something; on PostgreSQL their rows, until the end (rule 2).

    On SQLite a writer holds the whole database.
    """
    condition, params = numbers("token", tokens)
    how = "FOR UPDATE" if is_postgresql() else ""
    sql = f"SELECT token FROM spool_claim WHERE {condition} ORDER BY token {how}"  # noqa: S608
    return [row[0] for row in rows(sql, params)]


def held(tokens: Sequence[int]) -> set[int]:
    """Those of the tokens whose claim lasts; a read, it prolongs nothing."""
    if not tokens:
        return set()
    condition, params = numbers("token", tokens)
    sql = f"SELECT token FROM spool_claim WHERE {condition} AND ends_at > %s"  # noqa: S608
    return {row[0] for row in rows(sql, [*params, now_ms()])}


def attempts_before(tokens: int | Sequence[int]) -> dict[int, int]:
    """How often each recipient that the tokens hold was tried before."""
    condition, params = numbers("claim_token", as_tokens(tokens))
    sql = f"SELECT id, attempts FROM spool_recipient WHERE state = 'claimed' AND {condition}"  # noqa: S608
    return {row[0]: row[1] for row in rows(sql, params)}


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
    few = None if only is None else list(only)
    return unclaim(lock(tokens), now if at is None else at, now, reason, few)


def return_expired(limit: int = 100) -> int:
    """Return claims that ended; at most `limit` of them, so that no transaction grows on and on."""

    def work() -> int:
        now = now_ms()
        how = "FOR UPDATE SKIP LOCKED" if is_postgresql() else ""
        ended = rows(
            f"SELECT token FROM spool_claim WHERE ends_at < %s ORDER BY ends_at LIMIT %s {how}",  # noqa: S608
            [now, limit],
        )
        return unclaim([row[0] for row in ended], now, now, "", None)

    return write(work)


def unclaim(
    tokens: Sequence[int], due: int, now: int, reason: str, only: Sequence[int] | None
) -> int:
    """Return what the locked tokens hold (or `only` some of it), and drop tokens left empty."""
    if not tokens or only == []:
        return 0
    condition, params = numbers("claim_token", tokens)
    if only is not None:
        extra, extra_params = numbers("id", only)
        condition, params = f"{condition} AND {extra}", [*params, *extra_params]
    touched = rows(
        f"UPDATE spool_recipient SET state = {RETURNED}, claim_token = NULL, "  # noqa: S608
        "next_attempt_at = %s, updated_at = %s "
        f"WHERE state = 'claimed' AND {condition} RETURNING lane_id",
        [due, now, *params],
    )
    drop(tokens, checked=only is not None)
    lane_ids = {row[0] for row in touched}
    why = reason[:200] or None
    lanes.note([lanes.Note(lane, due_at=due, hold_reason=why) for lane in sorted(lane_ids)])
    return len(touched)


def unclaimed(recipient_ids: Sequence[int], now: int) -> dict[int, int]:
    """Let go of recipients as if nobody had held them; the caller has locked their tokens.

    Returns when the first of each lane was due, which the caller has to tell the lane: it may be
    older than all that waits there.
    """
    if not recipient_ids:
        return {}
    condition, params = numbers("id", recipient_ids)
    first: dict[int, int] = {}
    for lane, due in rows(
        f"UPDATE spool_recipient SET state = {RETURNED}, claim_token = NULL, updated_at = %s "  # noqa: S608
        f"WHERE state = 'claimed' AND {condition} RETURNING lane_id, next_attempt_at",
        [now, *params],
    ):
        first[lane] = min(due, first.get(lane, due))
    return first


def drop(tokens: Sequence[int], *, checked: bool) -> None:
    """Remove the claims' rows; `checked`: of those tokens only that hold nothing any more."""
    if not tokens:
        return
    condition, params = numbers("token", tokens)
    empty = (
        " AND NOT EXISTS (SELECT 1 FROM spool_recipient r "
        "WHERE r.state = 'claimed' AND r.claim_token = spool_claim.token)"
    )
    rows(f"DELETE FROM spool_claim WHERE {condition}{empty if checked else ''}", params)  # noqa: S608
