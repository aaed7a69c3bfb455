"""Recipients of a batch with what is needed to sign and send them; no ORM objects."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from mta.mail.compose import Composer
from mta.mail.ids import encode
from mta.spool.bodies import Bodies, Content
from mta.storage.bulk import numbers
from mta.storage.fields import from_ms
from mta.storage.statement import rows

#: One a process: the stages of a worker share what is unpacked.
BODIES = Bodies()


class Outgoing(NamedTuple):
    """One message to one address, ready to be rendered."""

    recipient_id: int
    message_id: int
    address: str
    reverse_path: str
    sender_domain: str
    smtputf8: bool
    created_at: int
    substitutions: bytes | None
    content: Content
    digest: str
    notify: str
    orcpt: str
    envid: str
    ret: str

    @property
    def shared(self) -> bool:
        """Every recipient of the body gets the same bytes."""
        return not isinstance(self.content, Composer)

    def wire(self) -> bytes:
        """The message in wire form; the same bytes whenever and wherever it is asked for."""
        if not isinstance(self.content, Composer):
            return self.content
        values: dict[str, Any] = orjson.loads(self.substitutions) if self.substitutions else {}
        return self.content.render(
            to=self.address,
            substitutions=values,
            date=moment(self.created_at // 1000),
            message_id=f"{encode(self.recipient_id)}@{self.sender_domain}",
        )


@lru_cache(maxsize=64)
def moment(second: int) -> datetime:
    """The instant of the Date field; a campaign's recipients share it."""
    return from_ms(second * 1000)


def load_many(tokens: Sequence[int]) -> dict[int, list[Outgoing]]:
    """What each token still holds, in the order of ids; tokens that hold nothing are absent.

    Raises LookupError when a body is missing.
    """
    if not tokens:
        return {}
    condition, params = numbers("claim_token", tokens)
    held = rows(
        "SELECT claim_token, id, message_id, address, substitutions, notify, orcpt "  # noqa: S608
        f"FROM spool_recipient WHERE state = 'claimed' AND {condition} ORDER BY id",
        params,
    )
    messages = envelopes(sorted({row[2] for row in held}))
    contents = BODIES.get({one[4] for one in messages.values()})
    found: dict[int, list[Outgoing]] = {}
    for token, rid, message_id, address, substitutions, notify, orcpt in held:
        reverse_path, sender_domain, smtputf8, created_at, digest, envid, ret = messages[message_id]
        found.setdefault(token, []).append(
            Outgoing(
                rid, message_id, address, reverse_path, sender_domain, smtputf8, created_at,
                None if substitutions is None else bytes(substitutions), contents[digest], digest,
                notify, orcpt, envid, ret,
            )
        )  # fmt: skip
    return found


def envelopes(ids: Sequence[int]) -> dict[int, tuple[str, str, bool, int, str, str, str]]:
    """Messages by id: a campaign's recipients share few, so each is read once."""
    condition, params = numbers("id", ids)
    sql = (
        "SELECT id, reverse_path, sender_domain, smtputf8, created_at, body_id, envid, ret "  # noqa: S608
        f"FROM spool_message WHERE {condition}"
    )
    return {row[0]: (row[1], row[2], bool(row[3]), *row[4:]) for row in rows(sql, params)}
