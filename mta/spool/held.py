"""What claims hold, read for those who settle: recipients and their messages, column by column.

A campaign's recipients share few messages, so these are read once each, not once a recipient.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mta.spool.result import Owned
from mta.storage.bulk import numbers
from mta.storage.statement import rows


class Held(NamedTuple):
    """A claimed recipient."""

    token: int
    recipient_id: int
    message_id: int
    address: str
    attempts: int
    metadata: str


class Facts(NamedTuple):
    """What events tell of a message."""

    campaign: str
    tags: str
    metadata: str
    created_at: int


def recipients(tokens: Sequence[int]) -> dict[int, dict[int, Held]]:
    """token -> id -> recipient; the caller has locked the tokens."""
    found: dict[int, dict[int, Held]] = {token: {} for token in tokens}
    condition, params = numbers("claim_token", tokens)
    for row in rows(
        "SELECT claim_token, id, message_id, address, attempts, metadata FROM spool_recipient "  # noqa: S608
        f"WHERE state = 'claimed' AND {condition} ORDER BY id",
        params,
    ):
        found[row[0]][row[1]] = Held._make(row)
    return found


def messages(ids: Sequence[int]) -> dict[int, Facts]:
    """id -> what its events tell."""
    condition, params = numbers("id", ids)
    sql = f"SELECT id, campaign, tags, metadata, created_at FROM spool_message WHERE {condition}"  # noqa: S608
    return {row[0]: Facts(*row[1:]) for row in rows(sql, params)}


def owned(recipient_ids: Sequence[int]) -> dict[int, Owned]:
    """Everything about these recipients and their messages, for results that need it."""
    if not recipient_ids:
        return {}
    return owned_where(*numbers("r.id", recipient_ids))


def owned_where(condition: str, params: Sequence[object]) -> dict[int, Owned]:
    """Recipients with their messages, as the SQL behind WHERE chooses them."""
    found = rows(
        "SELECT r.id, r.message_id, r.lane_id, r.address, r.attempts, r.metadata, r.notify, "  # noqa: S608
        "r.orcpt, r.substitutions, m.campaign, m.tags, m.metadata, m.reverse_path, m.envid, "
        "m.created_at, m.expires_at, m.body_id, m.sender_domain, r.source_id "
        "FROM spool_recipient r JOIN spool_message m ON m.id = r.message_id "
        f"WHERE {condition}",
        list(params),
    )
    return {row[0]: Owned(*row) for row in found}
