"""One message on its way into rows: of itself, its recipients, their events, and the mail log.

Lists have one entry per recipient, in the order of the message. What recipients share is put into
JSON once a message; each then costs some joined text instead of two dicts and a dataclass.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import orjson

from mta.events import outbox
from mta.mail.ids import encode
from mta.spool.lanes import BULK, ENGAGED, LaneKey
from mta.spool.streams import StreamFacts

if TYPE_CHECKING:
    from mta.spool.inject import NewMessage

MESSAGE_COLUMNS = (
    "id", "tenant_id", "stream_id", "body_id", "reverse_path", "sender_domain", "subject",
    "campaign", "tags", "metadata", "origin", "smtputf8", "envid", "ret", "created_at",
    "expires_at",
)  # fmt: skip
RECIPIENT_COLUMNS = (
    "id", "message_id", "lane_id", "address", "state", "attempts", "next_attempt_at",
    "substitutions", "metadata", "notify", "orcpt", "last_reply", "bounce_class", "updated_at",
)  # fmt: skip
REASON = "the address is suppressed"

Row = tuple[Any, ...]


class Created:
    """A message with the ids that it gets; instants are milliseconds."""

    def __init__(
        self, message: NewMessage, fact: StreamFacts, message_id: int, ids: Sequence[int], now: int
    ) -> None:
        self.message, self.fact, self.now = message, fact, now
        self.id, self.ids = message_id, ids
        self.addresses = [str(one.address) for one in message.recipients]
        self.due = max(now, round(message.send_at * 1000)) if message.send_at else now
        #: Indexes of recipients that must not be written to; known once all are looked up.
        self.suppressed: frozenset[int] = frozenset()

    def suppress(self, unwanted: Collection[str]) -> None:
        """Mark the recipients whose normalised address is among the unwanted."""
        self.suppressed = frozenset(
            index for index, one in enumerate(self.addresses) if one.lower() in unwanted
        )

    def message_row(self, body: str) -> Row:
        """`body` is the key of its content."""
        m = self.message
        if m.expires_at is None:
            expires = self.due + self.fact.life_seconds * 1000
        else:
            expires = round(m.expires_at * 1000)
        return (
            self.id, m.tenant_id, m.stream_id, body, m.reverse_path, m.sender_domain,
            m.subject[:200], m.campaign, json(list(m.tags)) if m.tags else "[]",
            json(dict(m.metadata)) if m.metadata else "{}", m.origin, m.smtputf8, m.envid, m.ret,
            self.now, max(expires, self.now + 1),
        )  # fmt: skip

    @cached_property
    def lane_keys(self) -> frozenset[LaneKey]:
        """The lanes that the recipients wait in."""
        places = set(zip(self.domains(), self.priorities(), strict=True))
        tenant_id, stream_id = self.message.tenant_id, self.message.stream_id
        return frozenset((tenant_id, stream_id, *place, 0) for place in places)

    def domains(self) -> list[str]:
        return [one.address.domain for one in self.message.recipients]

    def priorities(self) -> list[int]:
        """How urgent each recipient is."""
        usual = self.fact.priority
        if usual != BULK:
            return [usual] * len(self.ids)
        return [ENGAGED if one.engaged else usual for one in self.message.recipients]

    def recipient_rows(self, lane_ids: Mapping[LaneKey, int]) -> list[Row]:
        """`lane_ids` has at least the lanes of this message."""
        lanes = {key[2:4]: lane_ids[key] for key in self.lane_keys}
        places = zip(self.domains(), self.priorities(), strict=True)
        message_id, due, now, dumps = self.id, self.due, self.now, orjson.dumps
        rows: list[Row] = [
            (
                recipient_id, message_id, lanes[place], address, "scheduled", 0,
                due, dumps(one.substitutions) if one.substitutions else None,
                json(one.metadata) if one.metadata else "", one.notify, one.orcpt, "", "", now,
            )
            for recipient_id, address, place, one in zip(
                self.ids, self.addresses, places, self.message.recipients, strict=True
            )
        ]  # fmt: skip
        for index in self.suppressed:
            row = rows[index]
            rows[index] = (*row[:4], "suppressed", 0, None, *row[7:11], REASON, "", now)
        return rows

    def told(self) -> tuple[list[Row], list[str]]:
        """(rows of events, lines of the mail log): what outbox.write makes of NewEvents."""
        m, now, message_id = self.message, self.now, self.id
        tenant_id = m.tenant_id
        shared = said(
            outbox.message_fields(
                stream=self.fact.name, campaign=m.campaign, tags=list(m.tags),
                metadata=dict(m.metadata),
            )
        )  # fmt: skip
        tenant = {"tenant": self.fact.tenant_name}
        head, tail = f'{json(tenant)[:-1]},"to":', rest(shared)
        logged = {name: value for name, value in shared.items() if name not in outbox.PRIVATE}
        end = f"{rest(tenant | logged)}\n"
        kinds = ("reception", "suppression")
        begin = [
            f'{json({"at": now / 1000, "kind": kind, "id": encode(message_id)})[:-1]},"recipient":"'
            for kind in kinds
        ]
        rows: list[Row] = []
        lines: list[str] = []
        for index, (recipient_id, address) in enumerate(zip(self.ids, self.addresses, strict=True)):
            out = index in self.suppressed
            to = json(address)
            rows.append((now, kinds[out], tenant_id, message_id, recipient_id, head + to + tail))
            lines.append(f'{begin[out]}{encode(recipient_id)}","to":{to}{end}')
        for index, one in enumerate(m.recipients):
            if one.metadata:
                own = rest(shared | {"metadata": {**m.metadata, **one.metadata}})
                rows[index] = (*rows[index][:5], f"{head}{json(self.addresses[index])}{own}")
        return rows, lines


def json(value: Any) -> str:
    """JSON text."""
    return orjson.dumps(value).decode()


def said(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that say something; who reads events puts the others back."""
    return {name: value for name, value in fields.items() if value}


def rest(fields: Mapping[str, Any]) -> str:
    """The end of a JSON object that was begun with another member."""
    return f",{json(fields)[1:]}" if fields else "}"
