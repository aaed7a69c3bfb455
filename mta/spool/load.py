"""Recipients of a batch with what is needed to sign and send them; no ORM objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from django.db import connection

from mta.mail.compose import Composer
from mta.mail.ids import encode
from mta.spool.bodies import Bodies, Content
from mta.storage import bulk
from mta.storage.fields import from_ms

#: One a process: the stages of a worker share what is unpacked.
BODIES = Bodies()


@dataclass(frozen=True, slots=True)
class Outgoing:
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
            date=from_ms(self.created_at - self.created_at % 1000),
            message_id=f"{encode(self.recipient_id)}@{self.sender_domain}",
        )


def load_many(tokens: Sequence[int]) -> dict[int, list[Outgoing]]:
    """What each token still holds, in the order of ids; tokens that hold nothing are absent."""
    if not tokens:
        return {}
    condition, params = bulk.numbers("r.claim_token", tokens)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT r.id, m.id, r.address, m.reverse_path, m.sender_domain, m.smtputf8, "  # noqa: S608
            "m.created_at, r.substitutions, m.body_id, r.notify, r.orcpt, m.envid, m.ret, "
            "r.claim_token FROM spool_recipient r JOIN spool_message m ON m.id = r.message_id "
            f"WHERE r.state = 'claimed' AND {condition} ORDER BY r.id",
            params,
        )
        rows = cursor.fetchall()
    contents = BODIES.get({row[8] for row in rows})
    found: dict[int, list[Outgoing]] = {}
    for row in rows:
        found.setdefault(row[13], []).append(
            Outgoing(
                recipient_id=row[0], message_id=row[1], address=row[2], reverse_path=row[3],
                sender_domain=row[4], smtputf8=bool(row[5]), created_at=row[6],
                substitutions=None if row[7] is None else bytes(row[7]), content=contents[row[8]],
                digest=row[8], notify=row[9], orcpt=row[10], envid=row[11], ret=row[12],
            )
        )  # fmt: skip
    return found


def load(token: int) -> list[Outgoing]:
    """What the token still holds, in the order of ids."""
    return load_many([token]).get(token, [])
